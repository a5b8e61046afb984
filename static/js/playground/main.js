// The playground: ties image, form, job and answer together.
import { answerText } from "./answer.js";
import { BrowserModel } from "../browser-model/client.js";
import { copyText } from "../shell.js";
import { ImageInput } from "./image-input.js";
import { forgetUpload, hasUpload, isReturn, keepFields, keepUpload, keptFields, keptUpload } from "./kept.js";
import { JobError, cancel, follow, submit } from "./job-client.js";
import { Overlay } from "./overlay.js";
import { Moon, showTimings } from "./progress.js";
import { PLACE, Prompts } from "./prompts.js";
import { Sessions } from "./sessions.js";
import { showCode } from "./snippets.js";
import { markTab, tabAfter } from "../tabs.js";
import { TunedModels } from "./tuned.js";

const PROMPT_FIELD = { caption: "length", query: "question", detect: "object", point: "object" };
const FINDS = new Set(["detect", "point"]); // skills whose answer is on the image
const ADDRESS_CHARACTERS = 500; // of a prompt
const SHOWN_RUNS = 50; // of a session

class Playground {
  // `embedded`: in another page, whose address stays. `here`: the model runs in the browser at first.
  // `panes`: told when something is to be seen; none in a dialog.
  constructor(root, { embedded, here = false, panes = null }) {
    this.root = root;
    this.embedded = embedded;
    this.here = here;
    this.panes = panes;
    this.$ = (name) => root.querySelector(`[data-${name}]`);
    this.form = this.$("form");
    this.moon = new Moon(root);
    this.overlay = new Overlay(root);
    this.history = [];
    this.job = null;
    this.image = new ImageInput(root, { onChange: (image) => this.imageChanged(image), onProblem: (problem) => this.fail(problem), maySend: () => this.$("variant").value !== "browser" });
    this.local = new BrowserModel(JSON.parse(root.dataset.browserModel));
    if (BrowserModel.isSupported) this.$("variant").append(new Option("In your browser · FP32 · caption and query", "browser"));
    this.tuned = new TunedModels(this.$("variant"), root.dataset.tuned);
    this.prompts = new Prompts(root, this);
    this.sessions = new Sessions(root, JSON.parse(root.dataset.sessions));
    this.tabs = [...root.querySelectorAll("[data-skill]")];
    this.bind();
    this.restore();
    root.setAttribute("data-ready", "");
  }

  bind() {
    for (const node of this.root.querySelectorAll("[data-nojs]")) node.remove();
    for (const tab of this.tabs) {
      tab.addEventListener("click", () => this.choose(tab.dataset.skill));
      tab.addEventListener("keydown", (event) => this.tabKey(event));
    }
    for (const item of this.root.querySelectorAll(".pg-suggest__item")) {
      item.addEventListener("click", () => {
        this.suggest(item);
      });
    }
    for (const item of this.root.querySelectorAll("[data-example]")) item.addEventListener("click", () => this.example(item));
    this.$("take-sample").addEventListener("click", () => {
      this.image.takeSample(this.image.samples[0].value);
      this.image.samples[0].focus({ preventScroll: true });
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.run();
      } else if (event.key === "Escape" && this.job) {
        event.preventDefault();
        event.stopPropagation();
        this.stop();
      }
    });
    this.$("cancel").addEventListener("click", () => this.stop());
    this.$("retry").addEventListener("click", () => this.run());
    this.$("variant").addEventListener("change", () => {
      this.isAway = false;
      this.explainVariant();
    });
    this.form.addEventListener("input", () => this.remember());
    this.form.addEventListener("change", () => this.remember());
    this.$("copy-log").addEventListener("click", (event) => copyText(this.$("log").innerText, event.currentTarget));
    this.$("copy-json").addEventListener("click", (event) => copyText(this.$("json").textContent, event.currentTarget));
    this.$("history-clear").addEventListener("click", (event) => this.newSession(event.currentTarget));
  }

  field(skill) {
    return this.form.elements.namedItem(PROMPT_FIELD[skill]); // `elements.length` is the count
  }

  get prompt() {
    return this.field(this.skill).value.trim();
  }

  set prompt(value) {
    this.field(this.skill).value = value;
    this.remember();
  }

  choose(skill, { focus = false } = {}) {
    this.skill = skill;
    const chosen = this.tabs.find((tab) => tab.dataset.skill === skill);
    markTab(this.tabs, chosen);
    if (focus) chosen.focus();
    this.$("object-label").textContent = chosen.dataset.label;
    this.$("ask").setAttribute("role", "tabpanel");
    this.$("ask").setAttribute("aria-labelledby", `tab-${skill}`);
    for (const field of this.root.querySelectorAll("[data-for]")) field.hidden = field.dataset.for !== PROMPT_FIELD[skill];
    for (const group of this.root.querySelectorAll("[data-suggest]")) group.hidden = group.dataset.suggest !== skill;
    for (const hint of this.root.querySelectorAll("[data-hint]")) hint.hidden = hint.dataset.hint !== skill;
    this.runWhereItCan();
    this.promptError("");
    this.suggestFromSample();
    this.remember();
  }

  tabKey(event) {
    const next = tabAfter(event, this.tabs);
    if (next) this.choose(next.dataset.skill, { focus: true });
  }

  // The model in the browser finds nothing: for that the server is asked, and for the rest not any more.
  runWhereItCan() {
    const variant = this.$("variant");
    if (FINDS.has(this.skill) && variant.value === "browser" && variant.options.length > 1) {
      variant.selectedIndex = 0;
      this.isAway = true;
    } else if (!FINDS.has(this.skill) && this.isAway) {
      variant.value = "browser";
      this.isAway = false;
    } else return;
    this.explainVariant();
  }

  // A prompt to try brings a scene that it fits, unless the image is the visitor's own.
  suggest(item) {
    const fits = item.dataset.fits.split(" ");
    const { sample } = this.image.current ?? { sample: "" };
    if (sample !== undefined && !fits.includes(sample)) this.image.takeSample(fits[0]);
    this.prompt = item.textContent;
    this.field(this.skill).focus();
  }

  // A hint's example comes with its scene, and is asked at once.
  example(item) {
    if (this.job) return;
    this.image.takeSample(item.dataset.fits);
    this.prompt = item.dataset.example;
    this.run();
  }

  imageChanged(image) {
    this.overlay.clear();
    this.hideError();
    if (image?.prompts) this.suggestFromSample(true);
    if (!this.embedded && this.ready) {
      if (image?.file && !image.item) keepUpload(image.file); // an item's comes back with its prompt
      else forgetUpload();
    }
    this.remember();
  }

  // A sample brings a prompt that suits it, unless the visitor wrote one.
  suggestFromSample(force = false) {
    const suggested = this.image?.current?.prompts?.[this.skill];
    if (!suggested || this.skill === "caption") return;
    const field = this.field(this.skill);
    if (!field.value.trim() || field.value === this.lastSuggested || force) {
      field.value = suggested;
      this.lastSuggested = suggested;
    }
  }

  async explainVariant() {
    const help = this.$("variant-help");
    this.serverHelp ??= help.textContent;
    const here = () => this.$("variant").value === "browser";
    if (here()) {
      const { backend, megabytes } = await this.local.cost();
      if (here()) help.textContent = `Runs on this device by ${backend}: up to ${megabytes} MB are loaded once, and neither the image nor the question is sent anywhere.`;
    } else {
      help.textContent = this.isAway ? "On the server: the model in the browser captions and answers only." : this.serverHelp;
      this.image.askPreview(); // not while the image is to stay here
    }
  }

  async chooseTuned(wanted) {
    const isThere = await this.tuned.choose(wanted);
    await this.explainVariant();
    if (!isThere) this.$("variant-help").textContent = "The tuned model of this address is not here, or not for you. Its owner can share it.";
  }

  promptError(text) {
    const field = this.field(this.skill);
    const line = this.$("prompt-error");
    line.textContent = text;
    line.hidden = !text;
    if (text) {
      field.setAttribute("aria-invalid", "true");
      field.focus();
    } else {
      field.removeAttribute("aria-invalid");
    }
  }

  async run() {
    if (this.job) return;
    this.hideError();
    this.promptError("");
    if (!this.image.current) {
      this.fail({ message: "An image is needed.", hint: "Choose a file, paste one, or pick a scene." });
      return;
    }
    if (!this.prompt) {
      this.promptError(this.skill === "query" ? "Write a question." : "Say what to look for.");
      return;
    }
    const place = this.prompt.match(PLACE)?.[0];
    if (place) {
      this.promptError(`Write what you ask in the place of ${place}.`);
      return;
    }
    const run = { skill: this.skill, prompt: this.prompt, variant: this.$("variant").value, image: this.image.current, sample: this.image.current.sample };
    run.about = this.prompts.about(run);
    this.begin(run);
    const abort = new AbortController();
    this.job = { abort };
    try {
      if (run.variant === "browser") {
        await this.runHere(run);
        return;
      }
      const job = await submit(this.payload(run), crypto.randomUUID?.() ?? String(Math.random()), abort.signal, (notice) => this.busy(notice));
      this.job = { ...job, abort };
      run.image.id = job.image_id;
      run.job = job.id;
      this.keep(run);
      await this.follow(job, run);
    } catch (error) {
      this.broken(error, run);
    } finally {
      this.ended();
    }
  }

  async follow(job, run) {
    const end = await follow(job, (type, data) => this.event(type, data, run), (notice) => this.log(notice));
    if (end.type === "result") this.finish(run, end.data);
    else this.cancelled();
  }

  async keep(run) {
    await this.sessions.save(run);
    this.remember();
    if (this.shown === run) this.sessions.offer(run);
    this.told(run);
  }

  // Other panes show something of a run as well.
  told(run, data = null) {
    this.panes?.summarise();
    if (this.shown === run) this.root.dispatchEvent(new CustomEvent("playground:run", { detail: { run, data }, bubbles: true }));
  }

  broken(error, run) {
    if (error.name === "AbortError") {
      this.cancelled();
      return;
    }
    if (error.code === "image_gone") delete run.image.id;
    this.failed(error instanceof JobError ? error : new JobError({ message: "Something broke in the page.", hint: "Reload and try again." }));
    if (!(error instanceof JobError)) throw error;
  }

  ended() {
    this.job = null;
    this.$("run").disabled = false;
    if (document.activeElement === this.$("cancel")) this.$("run").focus({ preventScroll: true });
    this.$("cancel").hidden = true;
    this.$("output").removeAttribute("data-streaming");
  }

  // One that was asked before this page was there, and is not answered yet.
  async goOn(run, job) {
    this.begin(run);
    this.job = job;
    try {
      await this.follow(job, run);
    } catch (error) {
      this.broken(error, run);
    } finally {
      this.ended();
    }
  }

  async runHere(run) {
    if (run.skill === "detect" || run.skill === "point") {
      throw new JobError({ message: "In the browser the model captions and answers only.", code: "browser_skill", hint: "Choose a variant on the server for boxes and points." });
    }
    if (run.image.isUnseen) {
      throw new JobError({ message: "This browser cannot read the file.", code: "browser_image", hint: "Choose a variant on the server, or save the image as JPEG or PNG." });
    }
    this.job = { here: true };
    const blob = run.image.file ?? (await (await fetch(run.image.url)).blob());
    let end;
    try {
      end = await this.local.ask({ skill: run.skill, text: run.prompt, blob, key: run.image.url }, (type, data) => this.event(type, data, run));
    } catch (error) {
      throw new JobError({ message: "The model could not run in this browser.", code: "browser", hint: error.message });
    }
    if (end.type === "result") this.finish(run, end.data);
    else this.cancelled();
  }

  payload(run) {
    const data = new FormData();
    data.set("skill", run.skill);
    data.set("variant", run.variant);
    data.set(PROMPT_FIELD[run.skill], run.prompt);
    if (run.image.id) data.set("image_id", run.image.id);
    else if (run.sample) data.set("sample", run.sample);
    else data.set("image", run.image.file, run.image.name);
    return data;
  }

  begin(run) {
    this.shown = run;
    this.panes?.show("answer");
    this.sessions.offer(run);
    this.text = "";
    this.count = 0;
    this.overlay.clear();
    this.prompts.compare({});
    this.$("output").textContent = "";
    this.$("output").setAttribute("data-streaming", "");
    this.$("figures").hidden = true;
    this.$("outside").hidden = true;
    this.$("json-box").hidden = true;
    this.$("code-box").hidden = true;
    this.$("log").replaceChildren();
    this.$("cancel").hidden = false;
    // A disabled button drops the focus, and with it Escape.
    if (document.activeElement === this.$("run")) this.$("cancel").focus({ preventScroll: true });
    this.$("run").disabled = true;
    this.started = performance.now();
    this.say(this.moon.set("sending"));
    this.reveal(this.$("answer"));
  }

  // Where the panes are below each other, a press on Run would change nothing that is seen.
  reveal(part) {
    if (!matchMedia("(max-width: 939px)").matches) return;
    const { top, bottom } = part.getBoundingClientRect();
    if (top >= 0 && bottom <= innerHeight) return;
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    part.scrollIntoView({ block: "start", behavior });
  }

  busy(notice) {
    this.log(notice);
    this.say(notice);
    this.$("output").textContent = notice;
  }

  event(type, data, run) {
    if (type === "progress") this.moon.set("loading", `${data.megabytes.toFixed(1)} of ${data.of} MB`);
    else if (type === "status") this.moon.set(data.status === "running" ? "running" : "queued");
    else if (type === "stage") {
      this.moon.set(data.stage);
      this.log(data.stage);
    } else if (type === "restart") {
      this.log(`WebGPU failed (${data.reason}); WebAssembly begins again`);
      this.text = "";
      this.$("output").textContent = "";
      this.explainVariant();
    } else if (type === "log") this.log(data.message);
    else if (type === "token") {
      this.text += data.text;
      this.$("output").textContent = this.text;
    } else if (type === "object" || type === "point") {
      this.count += 1;
      this.overlay.add(type, data, run.prompt);
      this.$("output").textContent = this.counted(run);
    }
  }

  counted(run) {
    const noun = run.skill === "detect" ? (this.count === 1 ? "box" : "boxes") : this.count === 1 ? "point" : "points";
    return this.count ? `${this.count} ${noun} for “${run.prompt}”.` : `No “${run.prompt}” found.`;
  }

  finish(run, data) {
    const answer = answerText(data.result) ?? this.counted(run);
    this.$("output").textContent = answer;
    this.moon.set("done");
    if (FINDS.has(run.skill)) this.reveal(this.$("drop"));
    this.showFigures(data);
    showCode(this.$("code-box"), this.$("code-list"), run.job);
    const doubt = data.outside_world ? " The image is unlike what the model was trained on: it is a guess." : "";
    this.say(`Answer: ${answer.replace(/\.$/, "")}. ${Math.round(data.timings.total_ms)} milliseconds.${doubt}`);
    this.prompts.compare(run);
    this.told(run, data);
    this.history.unshift({ run, data, answer });
    this.history.length = Math.min(this.history.length, SHOWN_RUNS);
    this.showHistory();
  }

  showFigures(data) {
    this.$("figures").hidden = false;
    this.$("outside").hidden = !data.outside_world;
    showTimings(this.root, data.timings, data.backend);
    this.$("confidence").textContent = data.confidence === null ? "–" : data.confidence.toFixed(2);
    this.$("json-box").hidden = false;
    this.$("json").textContent = JSON.stringify(data, null, 2);
  }

  showHistory() {
    this.$("history").hidden = this.history.length === 0;
    this.$("history-list").replaceChildren(
      ...this.history.map((entry) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        const skill = document.createElement("span");
        skill.textContent = entry.run.skill;
        const text = document.createElement("span");
        text.textContent = entry.run.skill === "caption" ? entry.answer : `${entry.run.prompt} → ${entry.answer}`;
        const time = document.createElement("span");
        time.className = "mono quiet";
        time.textContent = `${Math.round(entry.data.timings.total_ms)} ms`;
        button.append(skill, text, time);
        button.addEventListener("click", () => this.reopen(entry));
        item.append(button);
        return item;
      }),
    );
  }

  reopen({ run, data, answer }) {
    if (this.job) return;
    this.shown = run;
    this.sessions.offer(run);
    this.image.putBack(run.image);
    this.choose(run.skill);
    this.$("variant").value = run.variant;
    this.explainVariant();
    this.prompt = run.prompt; // and with it the address
    this.overlay.clear();
    for (const region of data.result.objects ?? []) this.overlay.add("object", region, run.prompt);
    for (const region of data.result.points ?? []) this.overlay.add("point", region, run.prompt);
    this.$("output").textContent = answer;
    this.showFigures(data);
    showCode(this.$("code-box"), this.$("code-list"), run.job);
    this.prompts.compare(run);
    this.told(run, data);
    this.say(`Shown again: ${answer}`);
  }

  // The next run begins a session of its own; this one stays among the saved ones.
  newSession(button) {
    if (this.history.length) {
      this.left = { history: this.history, id: this.sessions.id };
      this.history = [];
      this.sessions.id = "";
      this.$("history-list").replaceChildren();
      button.textContent = "Undo";
    } else {
      this.history = this.left?.history ?? [];
      this.sessions.id = this.left?.id ?? "";
      button.textContent = "New session";
      this.showHistory();
    }
    this.remember();
  }

  // A saved session: its answers to choose from, the last one shown.
  async openSession(id, { isReturning }) {
    const runs = await this.sessions.load(id);
    if (!runs) {
      this.fail({ message: "That session is not here.", hint: "It was deleted, or is another visitor's." });
      this.remember();
      return;
    }
    const entries = runs.map((saved) => this.savedEntry(saved));
    this.history = entries.filter(({ data }) => data?.result).reverse().slice(0, SHOWN_RUNS);
    this.showHistory();
    const last = entries.at(-1);
    if (!last || this.job) return;
    if (isReturning && !this.isEntered(last.run)) return; // what was entered since is not written over
    if (isReturning && this.image.current.item) {
      last.run.image = this.image.current; // the server's copy does not say which item it is
      last.run.about = this.prompts.about(last.run);
    }
    if (last.data?.result) this.reopen(last);
    else this.ask(last.run);
    if (["queued", "running"].includes(last.status)) this.goOn(last.run, last.job);
  }

  // Whether the form asks what a run asked.
  isEntered({ skill, prompt, image, sample }) {
    const shown = this.image.current;
    const isImage = sample ? shown?.sample === sample : shown?.name === image.name;
    return isImage && this.skill === skill && this.prompt === prompt;
  }

  savedEntry(saved) {
    const sample = this.image.sampleImage(saved.sample);
    const image = sample ?? { id: saved.image.id, url: saved.image.url, name: saved.image.name };
    const run = { skill: saved.skill, prompt: saved.prompt, variant: saved.variant, image, sample: sample && saved.sample, job: saved.job, saved: saved.id };
    return { run, data: saved.end, answer: saved.answer, status: saved.status, job: saved };
  }

  // Fill the form with what a run asked.
  ask(run) {
    this.image.putBack(run.image);
    this.choose(run.skill);
    if ([...this.$("variant").options].some((option) => option.value === run.variant)) this.$("variant").value = run.variant;
    this.explainVariant();
    this.prompt = run.prompt;
  }

  async openShared(token) {
    let shared;
    try {
      shared = await this.sessions.shared(token);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (shared.file) this.image.take(shared.file);
    else if (shared.sample) this.image.takeSample(shared.sample);
    if (shared.variant.includes("@")) await this.chooseTuned(shared.variant);
    this.ask({ ...shared, image: this.image.current });
  }

  async stop() {
    const job = this.job;
    if (!job || job.stopping) return;
    job.stopping = true;
    if (job.here) {
      this.local.cancel();
      return;
    }
    if (!job.cancel_url) {
      job.abort.abort();
      return;
    }
    try {
      await cancel(job);
    } catch (error) {
      this.fail(error);
    }
  }

  cancelled() {
    this.moon.set("cancelled");
    if (!this.text && !this.count) this.$("output").textContent = "Cancelled before an answer.";
    this.say("Cancelled.");
  }

  failed(error) {
    this.moon.set("failed");
    if (!this.text && !this.count) this.$("output").textContent = "";
    if (/_(required|too_long)$/.test(error.code) && !error.code.startsWith("image")) this.promptError(`${error.message} ${error.hint}`);
    this.fail(error);
  }

  fail({ message, hint = "" }) {
    this.$("error").hidden = false;
    this.$("error-message").textContent = message;
    this.$("error-hint").textContent = hint;
    this.$("retry").hidden = !this.image?.current;
  }

  hideError() {
    this.$("error").hidden = true;
  }

  // By this page's clock alone: a server's would begin at another moment.
  log(message) {
    const at = performance.now() - (this.started ?? performance.now());
    const item = document.createElement("li");
    const time = document.createElement("time");
    time.textContent = `${Math.round(at)} ms`;
    const text = document.createElement("span");
    text.textContent = message;
    item.append(time, text);
    this.$("log").append(item);
    this.$("log").scrollTop = this.$("log").scrollHeight;
  }

  say(text) {
    this.$("live").textContent = text;
  }

  // The address carries what a stranger needs to ask the same again.
  remember() {
    this.prompts.check();
    if (this.ready) this.panes?.summarise();
    if (this.embedded || !this.ready) return;
    keepFields(Object.fromEntries(this.entered.fields));
    const query = new URLSearchParams();
    query.set("skill", this.skill);
    if (this.prompt) query.set("prompt", this.prompt.slice(0, ADDRESS_CHARACTERS));
    if (this.image.current?.sample) query.set("sample", this.image.current.sample);
    query.set("variant", this.$("variant").value);
    if (this.prompts.ref) query.set("from", this.prompts.ref);
    if (this.sessions.id) query.set("session", this.sessions.id);
    if (this.panes?.text) query.set("panes", this.panes.text);
    history.replaceState(null, "", `?${query}`);
  }

  restore() {
    const query = new URLSearchParams(this.embedded ? "" : location.search);
    const asked = query.get("skill");
    this.choose(PROMPT_FIELD[asked] ? asked : "caption");
    const line = this.prompts.given;
    const isReturning = !this.embedded && isReturn();
    const isKept = isReturning && !query.has("sample") && hasUpload();
    const itsImage = line?.hasAttribute("data-has-image") && !query.has("sample") && !isKept;
    let imageIsThere = Promise.resolve();
    if (isKept) imageIsThere = this.takeKept();
    else if (!itsImage) this.image.takeSample(query.get("sample") ?? this.image.samples[0]?.value);
    const kept = isReturning ? keptFields() : {};
    for (const [name, value] of Object.entries(kept)) if (value) this.form.elements.namedItem(name).value = value;
    const prompt = query.get("prompt");
    const field = this.field(this.skill);
    const isCut = prompt?.length === ADDRESS_CHARACTERS && field.value.startsWith(prompt);
    if (prompt && !isCut && (field.tagName !== "SELECT" || [...field.options].some((o) => o.value === prompt))) field.value = prompt;
    const variant = this.$("variant");
    const wanted = query.get("variant");
    if (wanted?.includes("@")) this.chooseTuned(wanted);
    if ([...variant.options].some((o) => o.value === wanted)) variant.value = wanted;
    if (this.here && BrowserModel.isSupported && !navigator.connection?.saveData) variant.value = "browser";
    this.runWhereItCan();
    this.explainVariant();
    this.ready = true;
    if (line) imageIsThere = Promise.all([imageIsThere, this.prompts.use(line, { fill: !query.has("skill"), image: itsImage })]);
    if (query.has("session")) imageIsThere.then(() => this.openSession(query.get("session"), { isReturning }));
    else if (query.has("fork")) this.openShared(query.get("fork"));
  }

  async takeKept() {
    const file = await keptUpload();
    if (file) this.image.take(file);
    else this.image.takeSample(this.image.samples[0]?.value);
  }

  // What is entered, to come back to.
  get entered() {
    const fields = [...new Set(Object.values(PROMPT_FIELD))].map((name) => [name, this.form.elements.namedItem(name).value]);
    return { skill: this.skill, fields, image: this.image.current };
  }

  set entered({ skill, fields, image }) {
    this.image.putBack(image);
    this.overlay.clear();
    this.choose(skill);
    for (const [name, value] of fields) this.form.elements.namedItem(name).value = value;
    this.remember();
  }
}

export function mount(root, options) {
  return new Playground(root, options);
}
