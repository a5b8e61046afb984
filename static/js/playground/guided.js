// The guided pages: what is scored and what comes live is shown without a reload. They work without this.
import { copyText } from "../shell.js";
import { RunCharts, inWords } from "./run-charts.js";

const page = document.querySelector("[data-guided]");
const ENDED = ["succeeded", "failed", "cancelled"];
const POLL_MS = 1200;
const SCORE_MS = 350;
const part = (name) => page.querySelector(`[data-part="${name}"]`);
const ready = () => {
  for (const place of page.querySelectorAll("[data-js]")) place.hidden = false;
};

function say(text) {
  page.querySelector("[data-live]").textContent = text;
}

async function drawn(options = {}) {
  const response = await fetch(options.url ?? location.href, { ...options, headers: { Accept: "text/html" } });
  if (!response.ok && response.status !== 422) return null;
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

// A part of the page as it is now; the focus stays where it was.
function swap(name, fresh) {
  const made = fresh?.querySelector(`[data-part="${name}"]`);
  const old = part(name);
  if (!made || !old) return null;
  const had = old.contains(document.activeElement);
  const id = had && document.activeElement.id;
  old.replaceWith(made);
  ready();
  if (had) (document.getElementById(id) ?? made.querySelector("button, a") ?? page.querySelector("[data-title]")).focus({ preventScroll: true });
  return made;
}

// What waits for a worker: looked at again until it is there.

function poll() {
  const waiting = page.querySelector("[data-part][data-poll]");
  if (!waiting) return;
  const name = waiting.dataset.part;
  setTimeout(async () => {
    try {
      const fresh = await drawn();
      const made = swap(name, fresh);
      const steps = fresh?.querySelector(".gd-steps");
      const next = fresh?.querySelector(".gd-page > .gd-next");
      if (steps && !page.querySelector(".gd-steps").contains(document.activeElement)) page.querySelector(".gd-steps").replaceWith(steps);
      const old = page.querySelector(":scope > .gd-next");
      if (next && old && !old.contains(document.activeElement)) old.replaceWith(next);
      if (made && !("poll" in made.dataset)) say(made.querySelector(".banner")?.textContent.trim() || "It is there.");
    } catch {
      // Offline for a moment: the next look tells.
    }
    poll();
  }, POLL_MS);
}

// The question is asked of one skill alone.

const askForm = page.querySelector("[data-ask-form]");
if (askForm) {
  const show = () => {
    for (const field of askForm.querySelectorAll("[data-for]")) field.hidden = field.dataset.for !== askForm.elements.skill.value;
  };
  askForm.addEventListener("change", show);
  show();
}

// A file goes before a scene, and the form shows which of them it takes.

const imageForm = page.querySelector("[data-image-form]");
imageForm?.addEventListener("change", ({ target }) => {
  if (target.type === "file" && target.files.length) for (const radio of imageForm.elements.sample) radio.checked = false;
  else if (target.name === "sample") imageForm.elements.image.value = "";
});

// The reward: scored as it is weighed.

const rewardForm = page.querySelector("[data-reward-form]");
let asked = 0;
let scoreLater = 0;

async function score() {
  const number = ++asked;
  const body = new FormData(rewardForm);
  body.set("do", "score");
  const results = part("results");
  results.setAttribute("aria-busy", "true");
  let fresh = null;
  try {
    fresh = await drawn({ url: rewardForm.action, method: "POST", body });
  } catch {
    // Offline: what was entered stays, and the next change tries again.
  }
  if (number !== asked) return;
  results.removeAttribute("aria-busy");
  if (!fresh) return say("It could not be scored just now. What you entered is kept.");
  // Where somebody writes, nothing is drawn anew under their hands.
  const reference = results.querySelector("[name=reference]");
  const made = fresh.querySelector("[data-part=results]");
  if (made && results.contains(document.activeElement)) {
    for (const name of ["[data-own]", ".gd-ranked"]) {
      const [before, now] = [results.querySelector(name), made.querySelector(name)];
      if (before && now) before.replaceWith(now);
    }
  } else {
    const text = reference.value;
    swap("results", fresh);
    part("results").querySelector("[name=reference]").value = text;
  }
  for (const input of rewardForm.querySelectorAll(".gd-weight [type=number]")) {
    const now = fresh.getElementById(input.id);
    const line = rewardForm.querySelector(`#${CSS.escape(input.id.replace("weight", "error"))}`);
    const problem = fresh.querySelector(`#${CSS.escape(line.id)}`)?.textContent ?? "";
    line.textContent = problem;
    line.hidden = !problem;
    if (now?.hasAttribute("aria-invalid")) {
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", line.id);
    } else input.removeAttribute("aria-invalid");
  }
  const first = part("results").querySelector(".gd-ranked__answer")?.textContent.trim();
  if (first) say(`First now: ${first}`);
}

rewardForm?.addEventListener("input", ({ target }) => {
  if (target.dataset.slider) document.getElementById(target.dataset.slider).value = target.value;
  const slider = rewardForm.querySelector(`[data-slider="${CSS.escape(target.id)}"]`);
  if (slider) slider.value = target.value;
  clearTimeout(scoreLater);
  scoreLater = setTimeout(score, SCORE_MS);
});

// Training, live.

function follow(training) {
  const data = JSON.parse(page.querySelector("#tn-data").textContent);
  const charts = new RunCharts(training, data);
  const title = document.title;
  charts.start(training.dataset.library);
  if (ENDED.includes(data.status)) return;

  const notice = (text = "") => {
    training.querySelector("[data-notice]").hidden = !text;
    training.querySelector("[data-notice-text]").textContent = text;
  };
  let later = 0;
  const changed = () => {
    clearTimeout(later);
    later = setTimeout(async () => {
      try {
        const fresh = await drawn();
        swap("state", fresh);
        const steps = fresh?.querySelector(".gd-steps");
        if (steps) page.querySelector(".gd-steps").replaceWith(steps);
      } catch {
        changed();
      }
    }, 300);
  };
  const status = (name) => {
    if (name === data.status) return;
    data.status = name;
    document.title = title;
    say(`The training is ${{ queued: "waiting", running: "running", paused: "paused", succeeded: "finished", failed: "failed", cancelled: "cancelled" }[name]}.`);
    changed();
  };
  const onStep = (step) => {
    charts.keep(step);
    charts.draw();
    if (step.step !== charts.at) return;
    const state = part("state");
    state.querySelector("[data-at]").textContent = step.step;
    state.querySelector("[data-progress]").value = step.step;
    state.querySelector("[data-eta]").textContent = step.eta_s ? `about ${inWords(step.eta_s)} left` : "";
    document.title = `${step.step}/${data.steps} · ${title}`;
  };
  let settle = 0;
  const connect = () => {
    const source = new EventSource(training.dataset.training);
    source.addEventListener("step", (event) => {
      notice();
      onStep(JSON.parse(event.data));
    });
    source.addEventListener("status", (event) => {
      // A replay tells of states that have passed: the last of them counts.
      clearTimeout(settle);
      settle = setTimeout(() => !ENDED.includes(data.status) && status(JSON.parse(event.data).status), 250);
    });
    for (const [kind, name] of [["result", "succeeded"], ["cancelled", "cancelled"], ["error", "failed"]]) {
      source.addEventListener(kind, (event) => {
        if (!event.data || JSON.parse(event.data).code === "stream_interrupted") return; // the connection comes back
        clearTimeout(settle);
        source.close();
        notice();
        status(name);
      });
    }
    source.onerror = (event) => {
      if (event.data !== undefined) return;
      notice("The connection was lost; resuming. The training goes on.");
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
    };
    addEventListener("pagehide", () => source.close(), { once: true });
  };
  connect();
}

page.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy-link]");
  if (button) copyText(page.querySelector("#gd-link").value, button);
});

ready();
poll();
const training = page.querySelector("[data-training]");
if (training) follow(training);
