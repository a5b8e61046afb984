// Tuned models to choose: one's own, published ones, and the one that an address names. They are asked
// for when somebody is about to choose, for the page itself is the same for everybody.

export class TunedModels {
  #asked = null;

  constructor(select, address) {
    this.select = select;
    this.address = address;
    for (const type of ["focus", "pointerenter"]) select.addEventListener(type, () => this.load(), { once: true });
  }

  // Adds the models; those there already stay, and what is chosen stays chosen.
  load(wanted = "") {
    this.#asked ??= this.#load(wanted).catch(() => {
      this.#asked = null; // the next attempt asks again
    });
    return this.#asked;
  }

  async #load(wanted) {
    const response = await fetch(`${this.address}?${new URLSearchParams({ variant: wanted })}`, { headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const groups = new DOMParser().parseFromString(await response.text(), "text/html").querySelectorAll("optgroup");
    const browser = [...this.select.options].find((option) => option.value === "browser");
    const chosen = this.select.value;
    for (const group of groups) browser ? browser.before(document.adoptNode(group)) : this.select.append(document.adoptNode(group));
    this.select.value = chosen; // the parser has chosen the first of them
  }

  // Chooses the one that an address names, once it is there; false where it is not for this visitor.
  async choose(wanted) {
    await this.load(wanted);
    const isThere = [...this.select.options].some((option) => option.value === wanted);
    if (isThere) this.select.value = wanted;
    return isThere;
  }
}
