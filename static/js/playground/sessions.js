// The visitor's session on the server: runs are saved as they are asked, brought back, and shared.
import { copyText } from "../shell.js";
import { JobError, call } from "./job-client.js";

export class Sessions {
  // `urls`: where sessions, saved runs and shared ones are.
  constructor(root, urls) {
    this.urls = urls;
    this.id = "";
    this.$ = (name) => root.querySelector(`[data-${name}]`);
    this.token = () => root.querySelector("[name=csrfmiddlewaretoken]").value;
    this.$("share-make").addEventListener("click", () => this.share());
    this.$("share-link").addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault()); // it asks nothing
    this.$("share-copy").addEventListener("click", (event) => copyText(this.$("share-link").value, event.currentTarget));
  }

  post(url, fields) {
    const body = new FormData();
    for (const [name, value] of Object.entries(fields)) body.set(name, value ?? "");
    return call(url, { method: "POST", body, headers: { "X-CSRFToken": this.token(), Accept: "application/json" } });
  }

  // Save a run as soon as it is accepted, so that nothing is lost when the page is left. What cannot be
  // saved is answered all the same, and the page says so.
  async save(run) {
    const saving = this.saving ?? Promise.resolve(); // two at once would open two sessions
    this.saving = saving.then(async () => {
      try {
        const saved = await this.post(this.urls.save, { job: run.job, session: this.id, sample: run.sample, image_name: run.sample ? "" : run.image.name });
        this.id = saved.session;
        run.saved = saved.run;
      } catch (error) {
        if (!(error instanceof JobError)) throw error;
        run.unsaved = `Not saved: ${error.message} ${error.hint}`;
      }
    });
    await this.saving;
  }

  // The session's runs, the oldest first; null where it is gone or another's.
  async load(id) {
    try {
      const { runs } = await call(`${this.urls.sessions}${encodeURIComponent(id)}/runs/`);
      this.id = id;
      return runs;
    } catch (error) {
      if (error instanceof JobError) return null;
      throw error;
    }
  }

  // What a link shows, to ask the same: with its image as a file.
  async shared(token) {
    const run = await call(`${this.urls.shared}${encodeURIComponent(token)}/run/`);
    if (run.sample || !run.image.url) return run;
    const response = await fetch(run.image.url);
    if (!response.ok) return run;
    const blob = await response.blob();
    return { ...run, file: new File([blob], run.image.name, { type: blob.type }) };
  }

  // Offer to share a run; also while it is answered.
  offer(run) {
    this.current = run;
    this.$("saved").textContent = run?.saved ? "Saved in this session." : (run?.unsaved ?? "");
    this.$("share-box").hidden = !run?.saved;
    this.$("share-box").open = false;
    this.$("share").hidden = false;
    this.$("share-made").hidden = true;
    this.$("compare-link").hidden = !run?.saved;
    this.$("compare-link").href = `${this.urls.compare}?run=${run?.saved ?? ""}`;
    this.$("session-link").hidden = !this.id;
    this.$("session-link").href = `${this.urls.sessions}${this.id}/`;
  }

  async share() {
    const run = this.current;
    const button = this.$("share-make");
    button.disabled = true;
    try {
      const { url } = await this.post(`${this.urls.save}${run.saved}/share/`, { days: this.$("share-days").value });
      this.$("share-link").value = url;
      this.$("share-open").href = url;
      if (this.current !== run) return;
      this.$("share").hidden = true;
      this.$("share-made").hidden = false;
      this.$("share-link").focus();
      this.$("share-link").select();
    } catch (error) {
      if (!(error instanceof JobError)) throw error;
      this.$("saved").textContent = `${error.message} ${error.hint}`;
    } finally {
      button.disabled = false;
    }
  }
}
