// Tabs by keyboard, as the ARIA practices have them: arrows go round, Home and End to the ends.

export function tabAfter(event, tabs) {
  const at = tabs.indexOf(event.currentTarget);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined) return null;
  event.preventDefault();
  return tabs[(to + tabs.length) % tabs.length];
}

export function markTab(tabs, chosen) {
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
  }
}
