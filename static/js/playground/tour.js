// The tour: a card that points at one thing after the other. It stands beside the page, which stays usable: the
// focus goes to the card and back to what opened it, and is never held.
const COOKIE = "playground_tour=seen; path=/playground/; max-age=31536000; SameSite=Lax";

export class Tour {
  constructor(root) {
    this.card = root.querySelector("[data-tour]");
    this.offer = root.querySelector("[data-tour-offer]");
    this.stops = [...this.card.querySelectorAll("[data-stop]")];
    this.at = -1;
    this.$ = (name) => this.card.querySelector(`[data-tour-${name}]`);
    for (const button of root.querySelectorAll("[data-tour-start]")) button.addEventListener("click", () => this.start(button));
    root.querySelector("[data-tour-skip]")?.addEventListener("click", () => {
      this.seen();
      root.querySelector("[data-tour-again]").focus({ preventScroll: true });
    });
    this.$("next").addEventListener("click", () => (this.at + 1 < this.stops.length ? this.show(this.at + 1) : this.end()));
    this.$("back").addEventListener("click", () => this.show(this.at - 1));
    this.$("close").addEventListener("click", () => this.end());
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.card.hidden || event.defaultPrevented) return;
      event.preventDefault();
      this.end();
    });
  }

  seen() {
    document.cookie = COOKIE;
    this.offer?.remove();
    this.offer = null;
  }

  start(opener) {
    this.opener = opener;
    this.card.hidden = false;
    this.show(0);
  }

  show(at) {
    this.mark(null);
    this.at = at;
    for (const [n, stop] of this.stops.entries()) stop.hidden = n !== at;
    const target = document.querySelector(this.stops[at].dataset.stop);
    this.mark(target);
    this.$("place").textContent = `${at + 1} of ${this.stops.length}`;
    this.$("back").hidden = at === 0;
    this.$("next").textContent = at + 1 < this.stops.length ? "Next" : "Done";
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    // On a phone the card is at the bottom: what it points at goes above it.
    target?.scrollIntoView({ block: matchMedia("(max-width: 939px)").matches ? "start" : "center", behavior });
    this.stops[at].querySelector("h2").focus({ preventScroll: true });
  }

  mark(target) {
    document.querySelector(".pg-toured")?.classList.remove("pg-toured");
    target?.classList.add("pg-toured");
  }

  end() {
    this.mark(null);
    this.card.hidden = true;
    this.seen();
    const opener = this.opener?.isConnected ? this.opener : document.querySelector("[data-tour-again]");
    opener?.focus();
  }
}
