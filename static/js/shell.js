// Behaviour of the shell: the playground dialog, copy buttons, the mobile menu.
const dialog = document.querySelector("[data-playground-dialog]");
let opener = null;
let loaded = false;

async function mountPlayground(body, options = {}) {
  const response = await fetch("/playground/panel/", { headers: { Accept: "text/html" } });
  if (!response.ok) throw new Error(`status ${response.status}`);
  const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
  const panel = parsed.querySelector("[data-playground]");
  const sheet = document.createElement("link");
  sheet.rel = "stylesheet";
  sheet.href = panel.dataset.stylesheet;
  await new Promise((done) => {
    sheet.onload = done;
    sheet.onerror = done;
    document.head.append(sheet);
  });
  // The script first: a form that is there before it would post itself and leave the page.
  const { mount } = await import(panel.dataset.module);
  body.replaceChildren(document.importNode(panel, true));
  mount(body.querySelector("[data-playground]"), { embedded: true, ...options });
}

// False where the panel could not be loaded; the reader is told how to go on.
async function loadPlayground(body, options) {
  try {
    await mountPlayground(body, options);
    return true;
  } catch {
    body.innerHTML = '<p role="alert">The playground could not be loaded. <a href="/playground/">Open it as a page</a> instead.</p>';
    return false;
  }
}

async function openPlayground(event) {
  if (!dialog || typeof dialog.showModal !== "function") return; // the link works by itself
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  const inPage = document.querySelector("[data-embed][data-loaded]");
  if (inPage) {
    // One panel a page: its fields have ids.
    inPage.open = true;
    inPage.scrollIntoView();
    inPage.querySelector("summary").focus({ preventScroll: true });
    return;
  }
  opener = event.currentTarget;
  dialog.showModal();
  // What opens it says "in Browser", and that is where the model runs unless another is chosen.
  loaded ||= await loadPlayground(dialog.querySelector("[data-body]"), { here: true });
}

if (dialog) {
  for (const link of document.querySelectorAll("[data-open-playground]")) link.addEventListener("click", openPlayground);
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => opener?.focus());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

export async function copyText(text, button) {
  let ok = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    ok = false;
  }
  const old = button.lastChild.textContent;
  button.lastChild.textContent = ok ? "Copied" : "Press Ctrl+C";
  setTimeout(() => { button.lastChild.textContent = old; }, 1600);
}

// The playground opened in the page: loaded when it is asked for.
for (const embed of document.querySelectorAll("[data-embed]")) {
  embed.addEventListener("toggle", async () => {
    if (!embed.open || embed.dataset.loaded) return;
    embed.dataset.loaded = "yes";
    if (loaded) dialog.querySelector("[data-body]").replaceChildren();
    loaded = false;
    if (!(await loadPlayground(embed.querySelector("[data-body]")))) delete embed.dataset.loaded;
  });
}

// Code in tabs: one choice of language for every block on every page.
const LANGUAGE = "language";
const remembered = () => {
  try {
    return localStorage.getItem(LANGUAGE);
  } catch {
    return null; // storage is switched off
  }
};

function showLanguage(block, language) {
  const tabs = [...block.querySelectorAll("[data-language]")];
  const chosen = tabs.some((t) => t.dataset.language === language) ? language : tabs[0].dataset.language;
  for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.dataset.language === chosen));
  for (const panel of block.querySelectorAll("[data-panel]")) panel.hidden = panel.dataset.panel !== chosen;
}

const tabbed = () => document.querySelectorAll("[data-code-tabs]");

export function bindCodeTabs(block) {
  const tabs = [...block.querySelectorAll("[data-language]")];
  block.classList.add("code--ready");
  for (const tab of tabs) {
    tab.hidden = false;
    tab.addEventListener("click", () => {
      try {
        localStorage.setItem(LANGUAGE, tab.dataset.language);
      } catch {
        // the choice then holds on this page only
      }
      const before = tab.getBoundingClientRect().top;
      for (const other of tabbed()) showLanguage(other, tab.dataset.language);
      scrollBy(0, tab.getBoundingClientRect().top - before);
    });
  }
  const copy = block.querySelector("[data-copy]");
  copy.hidden = false;
  copy.addEventListener("click", () => copyText(block.querySelector("[data-panel]:not([hidden]) code").textContent, copy));
  showLanguage(block, remembered());
}

for (const block of tabbed()) bindCodeTabs(block);

// What a number of images costs, as the slider moves. The arithmetic is the calculator's own.
const costs = document.querySelector("[data-cost]") ? await import("./pricing/costs.js") : null;
for (const form of document.querySelectorAll("[data-cost]")) {
  const range = form.querySelector("[data-cost-range]");
  const show = () => {
    // The slider is logarithmic; two significant digits are what a thumb can set.
    const images = Number((10 ** Number(range.value)).toPrecision(2));
    const text = images.toLocaleString("en-US");
    form.querySelector("[data-cost-count]").textContent = text;
    range.setAttribute("aria-valuetext", `${text} images`);
    for (const row of form.querySelectorAll("[data-cost-row]")) row.querySelector("[data-cost-value]").textContent = costs.money(images * Number(row.dataset.costRow) * (1 + margin() / 100));
  };
  const plan = form.querySelector("[data-cost-plan]");
  const margin = () => Number(plan?.value ?? 0);
  plan?.addEventListener("change", () => show());
  range.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
}

// "/" goes to the search, as long as nobody is typing.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable], dialog");
  const wanted = event.key === "/" || (event.key === "k" && (event.ctrlKey || event.metaKey));
  if (!wanted || typing || event.altKey) return;
  event.preventDefault();
  const field = document.querySelector("#search-q");
  if (field) field.focus();
  else location.href = "/search/";
});

if (document.querySelector("[data-sdk]")) import("./sdk.js").then(({ mount }) => document.querySelectorAll("[data-sdk]").forEach(mount));

for (const block of document.querySelectorAll("[data-code]")) {
  const button = block.querySelector("[data-copy]");
  button.hidden = false;
  button.addEventListener("click", () => copyText(block.querySelector("code").textContent, button));
}

const menu = document.querySelector(".site-menu");
document.addEventListener("click", (event) => {
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
});
menu?.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
