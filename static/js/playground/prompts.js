// Benchmarks' prompts: they fill the box, bring an item's image, and set its reference beside the answer.
export const PLACE = /\{(question|object)\}/;

async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(await response.text());
  return response;
}

async function fragment(url) {
  const parsed = new DOMParser().parseFromString(await (await fetched(url)).text(), "text/html");
  return document.importNode(parsed.body.firstElementChild, true);
}

export class Prompts {
  constructor(root, playground) {
    this.playground = playground;
    this.box = root.querySelector("[data-prompt-box]");
    this.place = this.box.querySelector("[data-prompt-place]");
    this.menu = this.box.querySelector("[data-prompt-menu]");
    this.reference = root.querySelector("[data-reference]");
    this.line = null;
    this.menu?.addEventListener("change", () => this.menu.value && this.pick(this.menu.value));
  }

  // The prompt that the page's address names.
  get given() {
    return this.place.querySelector("[data-prompt-line]");
  }

  // Its name, as long as the box still holds it.
  get ref() {
    return this.line && !this.changed ? this.line.dataset.ref : "";
  }

  get changed() {
    const { asks, text, place } = this.line.dataset;
    const [before, after] = place ? text.split(place) : [text, ""];
    const now = this.playground.prompt;
    const fits = now.length >= before.length + after.length - 1 && now.startsWith(before.trim()) && now.endsWith(after.trim());
    return this.playground.skill !== asks || !(place ? fits : now === text.trim());
  }

  check() {
    if (this.line) this.line.querySelector("[data-prompt-changed]").hidden = !this.changed;
  }

  async pick(ref) {
    const turn = (this.turn = Symbol(ref));
    try {
      const line = await fragment(`${this.box.dataset.line}?prompt=${encodeURIComponent(ref)}`);
      if (turn !== this.turn) return;
      const before = this.playground.entered;
      this.place.replaceChildren(line);
      await this.use(line, { fill: true, image: line.hasAttribute("data-has-image") && this.box.querySelector("[data-with-image]").checked, before });
    } catch {
      this.menu.value = "";
      this.playground.fail({ message: "The prompt could not be loaded.", hint: "Check the connection, then choose it again." });
    }
  }

  async use(line, { fill, image, before = null }) {
    this.line = line;
    for (const node of line.querySelectorAll("[data-nojs]")) node.remove();
    this.playground.hideError();
    if (fill) this.fill(line);
    const restore = line.querySelector("[data-prompt-restore]");
    restore.hidden = !before;
    restore.addEventListener("click", () => this.restore(before));
    if (image) await this.bringImage(line);
    this.playground.remember();
    if (before) this.playground.say("The prompt is in the box.");
  }

  fill({ dataset: { asks, text, place } }) {
    this.playground.choose(asks);
    this.playground.prompt = text;
    const at = place ? text.indexOf(place) : -1;
    if (at < 0) return;
    const field = this.playground.field(asks);
    field.focus();
    field.setSelectionRange(at, at + place.length);
  }

  async bringImage({ dataset: { query, item, ref } }) {
    try {
      const blob = await (await fetched(`${this.box.dataset.image}?${query}`)).blob();
      if (this.line?.dataset.ref !== ref) return;
      const name = `${item}.${blob.type.split("/")[1]}`;
      this.playground.image.take(new File([blob], name, { type: blob.type }), { item: ref });
    } catch {
      this.playground.fail({ message: "The item's image could not be loaded.", hint: "The prompt is in the box; choose it again, or an image of yours." });
    }
  }

  restore(before) {
    this.line = null;
    this.place.replaceChildren();
    this.menu.value = "";
    this.playground.entered = before;
    this.menu.focus();
  }

  // What a run asks word for word of its own image, as part of an address; else nothing.
  about(run) {
    const { item, asks, text, ref, query } = this.line?.dataset ?? {};
    return item && run.skill === asks && run.prompt === text.trim() && run.image.item === ref ? query : "";
  }

  async compare({ about, job }) {
    this.reference.hidden = !about;
    this.reference.replaceChildren();
    if (!about) return;
    const turn = (this.compared = Symbol(about));
    try {
      const found = await fragment(`${this.box.dataset.references}?${about}${job ? `&job=${job}` : ""}`);
      if (turn !== this.compared || this.reference.hidden) return;
      this.reference.replaceChildren(found);
      this.playground.overlay.reference(JSON.parse(found.dataset.regions));
      this.playground.say(`${this.playground.$("live").textContent} Reference: ${found.querySelector(".pg-reference__text").textContent}.`);
    } catch (error) {
      if (turn === this.compared) this.reference.textContent = error.message || "The reference could not be loaded.";
    }
  }
}
