// The panes that come on demand: the shown run to other models, and its answer by a reward.
const FIELD = { caption: "length", query: "question", detect: "object", point: "object" };
const WAIT_MS = 350;

export class Demand {
  constructor(page, root) {
    this.compare = page.querySelector("[data-compare-form]");
    this.reward = page.querySelector("[data-score-form]");
    this.scores = page.querySelector("[data-scores]");
    this.about = page.querySelector("[data-compare-about]");
    this.pane = this.reward.closest("[data-pane]");
    this.asked = 0;
    this.run = null;
    // Nothing is sent for a pane that is closed; what it missed, it is told when it opens.
    new MutationObserver(() => this.scoreShown()).observe(this.pane, { attributeFilter: ["hidden"] });
    this.compare.addEventListener("formdata", ({ formData }) => {
      const { skill, prompt, saved } = this.run;
      for (const [name, value] of Object.entries({ skill, run: saved, [FIELD[skill]]: prompt })) formData.set(name, value);
    });
    root.addEventListener("playground:run", ({ detail }) => this.take(detail));
    this.reward.addEventListener("input", () => {
      clearTimeout(this.later);
      this.later = setTimeout(() => this.score(), WAIT_MS);
    });
    this.reward.addEventListener("submit", (event) => {
      event.preventDefault();
      this.score();
    });
  }

  take({ run, data }) {
    this.run = run;
    this.compare.querySelector("button").disabled = !run.saved;
    this.about.textContent = run.saved ? `${run.skill}: ${run.prompt}` : "Run something first: other models are then asked the same.";
    if (data?.result) {
      this.reward.elements.namedItem("text").value = words(data.result);
      const fits = [...this.reward.elements.namedItem("preset").options].find((option) => option.dataset.skill === run.skill);
      const chosen = this.reward.elements.namedItem("preset").selectedOptions[0];
      if (fits && chosen.dataset.skill !== run.skill) fits.selected = true;
      this.isNew = true;
      this.scoreShown();
    }
  }

  // Score an answer that was not scored yet, if the pane is open. One that was made in this browser stays here
  // until something in the pane is changed.
  scoreShown() {
    if (this.pane.hidden || !this.isNew) return;
    this.isNew = false;
    if (this.run.variant === "browser") {
      this.asked += 1;
      this.scores.textContent = "This answer was made in your browser, and nothing of it was sent. To have its words scored by this server, choose a reward.";
      return;
    }
    this.score();
  }

  async score() {
    const number = ++this.asked;
    if (!this.reward.elements.namedItem("text").value) return;
    let text;
    try {
      const response = await fetch(this.reward.action, { method: "POST", body: new FormData(this.reward) });
      text = await response.text();
      if (!response.ok) throw new Error(text);
    } catch {
      if (number === this.asked) this.scores.textContent = "It could not be scored just now. Change anything to try again.";
      return;
    }
    if (number === this.asked) this.scores.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
  }
}

// An answer as rewards read it: its words, or its places as JSON.
function words(result) {
  return result.answer ?? result.caption ?? JSON.stringify(result.objects ? { objects: result.objects } : { points: result.points ?? [] });
}
