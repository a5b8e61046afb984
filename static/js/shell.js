// Behaviour of the shell: the playground dialog, copy buttons, the mobile menu.
const dialog = document.querySelector("[data-playground-dialog]");
let opener = null;
let loaded = false;

async function loadPlayground(body) {
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
  mount(body.querySelector("[data-playground]"), { embedded: true });
  loaded = true;
}

async function openPlayground(event) {
  if (!dialog || typeof dialog.showModal !== "function") return; // the link works by itself
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  opener = event.currentTarget;
  dialog.showModal();
  if (loaded) return;
  const body = dialog.querySelector("[data-body]");
  try {
    await loadPlayground(body);
  } catch {
    body.innerHTML = '<p role="alert">The playground could not be loaded. <a href="/playground/">Open it as a page</a> instead.</p>';
  }
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
