// The workspace: which panes are open. One of those that come on demand is open at a time, but for the advanced
// layout. A collapsed pane is one line that says what is in it. The choice is in the address, and remembered.
const KEY = "playground-panes";
const ALWAYS = ["image", "ask", "answer"];

export class Panes {
  constructor(page, playground, given) {
    this.page = page;
    this.playground = playground;
    this.bar = page.querySelector("[data-panes]");
    this.names = [...this.bar.querySelectorAll("[data-pane-button]")].map((button) => button.dataset.paneButton);
    this.demanded = this.names.filter((name) => !ALWAYS.includes(name));
    for (const name of this.names) {
      this.button(name).addEventListener("click", () => this.toggle(name));
      this.line(name)?.addEventListener("click", () => {
        this.set([...this.open, name]);
        this.button(name).focus();
      });
      this.pane(name).addEventListener("focusin", () => this.focus(name));
    }
    this.advanced.addEventListener("click", () => this.set(this.isAdvanced ? ALWAYS : this.names));
    this.set(this.wanted(given), { quiet: true });
  }

  button(name) {
    return this.bar.querySelector(`[data-pane-button="${name}"]`);
  }

  pane(name) {
    return this.page.querySelector(`[data-pane="${name}"]`);
  }

  line(name) {
    return this.page.querySelector(`[data-pane-line="${name}"]`);
  }

  get advanced() {
    return this.bar.querySelector("[data-panes-advanced]");
  }

  get isAdvanced() {
    return this.names.every((name) => this.open.includes(name));
  }

  // What the address says, else what was chosen last.
  wanted(given) {
    let kept = null;
    try {
      kept = localStorage.getItem(KEY);
    } catch { /* storage is switched off: it then holds on this page only */ }
    const text = given ?? kept;
    const named = (text ?? ALWAYS.join(",")).split(",").filter((name) => this.names.includes(name));
    return named.length ? named : ALWAYS;
  }

  // For the address; empty where it is the usual layout.
  get text() {
    const text = this.open.join(",");
    return text === ALWAYS.join(",") ? "" : text;
  }

  toggle(name) {
    if (this.open.includes(name)) return this.set(this.open.filter((other) => other !== name));
    const wasAdvanced = this.demanded.filter((other) => this.open.includes(other)).length > 1;
    const alone = this.demanded.includes(name) && !wasAdvanced;
    this.set([...this.open.filter((other) => !alone || !this.demanded.includes(other)), name]);
    const pane = this.pane(name);
    pane.querySelector("[data-pane-title]")?.focus({ preventScroll: true });
    const { top } = pane.getBoundingClientRect();
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    if (this.demanded.includes(name) || top > innerHeight) pane.scrollIntoView({ block: "nearest", behavior });
    return undefined;
  }

  set(open, { quiet = false } = {}) {
    this.open = this.names.filter((name) => open.includes(name));
    for (const name of this.names) {
      const isOpen = this.open.includes(name);
      this.pane(name).hidden = !isOpen;
      this.button(name).setAttribute("aria-expanded", String(isOpen));
      const line = this.line(name);
      if (line) line.hidden = isOpen;
      if (isOpen) this.load(this.pane(name));
    }
    this.advanced.setAttribute("aria-pressed", String(this.isAdvanced));
    this.page.dataset.wide = String(!this.open.includes("image") || !(this.open.includes("ask") || this.open.includes("answer")));
    this.summarise();
    if (quiet) return;
    try {
      localStorage.setItem(KEY, this.open.join(","));
    } catch { /* it holds on this page only */ }
    this.playground.remember();
  }

  // Something happens in a pane: it is to be seen.
  show(name) {
    if (!this.open.includes(name)) this.set([...this.open, name]);
  }

  focus(name) {
    for (const other of this.names) this.pane(other).toggleAttribute("data-focus", other === name);
  }

  // The one line of each collapsed pane.
  summarise() {
    const { image, skill, prompt } = this.playground;
    const said = this.page.querySelector("[data-output]").textContent.trim();
    const shown = this.playground.shown;
    const lines = {
      image: image.current?.name ?? "none yet",
      ask: skill ? `${skill[0].toUpperCase()}${skill.slice(1)}: ${prompt || "nothing yet"}` : "",
      answer: shown ? said || "on its way" : "none yet",
    };
    for (const name of ALWAYS) this.line(name).querySelector("[data-line-text]").textContent = lines[name];
  }

  // What a pane shows is fetched when it is first opened.
  async load(pane) {
    const address = pane.dataset.load;
    if (!address || pane.dataset.loaded) return;
    pane.dataset.loaded = "yes";
    const place = pane.querySelector("[data-pane-body]");
    try {
      const response = await fetch(address, { headers: { "X-Partial": "latest" } });
      if (!response.ok) throw new Error(String(response.status));
      place.replaceChildren(...new DOMParser().parseFromString(await response.text(), "text/html").body.childNodes);
    } catch {
      delete pane.dataset.loaded;
      place.textContent = "It could not be loaded. Close the pane and open it again.";
    }
  }
}
