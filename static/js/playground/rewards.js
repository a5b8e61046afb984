// The reward builder. The server scores and draws; here weights act at once, and the bench is kept in
// the address and in a row of steps to go back to.
import { copyText } from "../shell.js";
import { EMPTY } from "./answer.js";
import { follow, submit } from "./job-client.js";

const $ = (name) => document.querySelector(`[data-${name}]`);
const live = $("live");
const form = () => $("bench");
const results = () => document.querySelector("[data-part=results]");
const WAIT_MS = 350;
const SCORES = ["results", "take"];
const ALL = ["terms", ...SCORES, "answers"];

// Steps: every bench the server has drawn, and where in them we are.
const steps = [];
let at = -1;
let timer = 0;
let asked = 0;

function tell(text = "") {
  $("told").hidden = !text;
  $("told-text").textContent = text;
}

// The bench in the address: deflated, in the letters that a link may hold.
async function pack(text) {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join("")).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).text();
}

async function note(state) {
  const packed = await pack(state);
  if (results().dataset.state === state) history.replaceState(null, "", `#r=${packed}`);
}

function step(state) {
  if (steps[at] === state) return;
  steps.splice(at + 1, Infinity, state);
  at = steps.length - 1;
  note(state);
}

function ready() {
  for (const part of document.querySelectorAll("[data-js]")) part.hidden = false;
  const undo = $("undo");
  undo.disabled = at <= 0;
  $("redo").disabled = at >= steps.length - 1;
  reweigh();
}

// Totals and order of the weights as they stand, from what the server said of each term.
function reweigh() {
  const part = results();
  const body = part.querySelector("[data-rows]");
  const before = JSON.parse(part.dataset.weights);
  if (!body || !before.length) return;
  const weights = before.map((old, n) => {
    const field = document.querySelector(`[data-weight="${n}"]`);
    const value = field ? Number(field.value) : NaN;
    return field?.value && Number.isFinite(value) ? value : old;
  });
  const size = weights.reduce((sum, w) => sum + Math.abs(w), 0);
  const scale = part.dataset.normalise === "weights" && size ? 1 / size : 1;
  const rows = [...body.rows];
  const totals = new Map(rows.map((row) => [row, scale * JSON.parse(row.dataset.values).reduce((sum, v, n) => sum + (v ?? 0) * weights[n], 0)]));
  const first = rows[0];
  rows.sort((a, b) => totals.get(b) - totals.get(a));
  rows.forEach((row, n) => {
    row.querySelector("[data-rank]").textContent = n + 1;
    row.querySelector("[data-total]").textContent = totals.get(row).toFixed(3);
    row.querySelectorAll(".rb-value").forEach((cell, k) => { cell.dataset.sign = Math.sign(weights[k]); });
    if (body.rows[n] !== row) body.insertBefore(row, body.rows[n] ?? null);
  });
  return { first: rows[0], moved: rows[0] !== first, total: totals.get(rows[0]) };
}

let sayLater = 0;
function say(now) {
  clearTimeout(sayLater);
  if (!now) return;
  sayLater = setTimeout(() => {
    live.textContent = `First: ${now.first.querySelector("[data-said]").textContent} Total ${now.total.toFixed(3)}.`;
  }, 600);
}

function schedule() {
  clearTimeout(timer);
  timer = setTimeout(() => send(SCORES), WAIT_MS);
}

async function send(parts, extra = {}, focus = "") {
  clearTimeout(timer);
  const data = new FormData(form());
  for (const [name, value] of Object.entries({ do: "score", ...extra })) data.set(name, value);
  const number = ++asked;
  results().setAttribute("aria-busy", "true");
  let response, text;
  try {
    response = await fetch(form().action, { method: "POST", body: data, headers: { "X-Partial": "1" } });
    text = await response.text();
  } catch {
    if (number === asked) tell("The server cannot be reached. What you wrote is kept; change anything to try again.");
    return results().removeAttribute("aria-busy");
  }
  if (number !== asked) return; // a later change is on its way
  const drawn = new DOMParser().parseFromString(text, "text/html").querySelector("[data-bench]");
  if (!response.ok || !drawn) {
    results().removeAttribute("aria-busy");
    const wait = response.headers.get("Retry-After");
    return tell(`${drawn?.querySelector("[role=alert] p")?.textContent ?? `The server answered with ${response.status}.`} ${wait ? `Try again in ${wait} s.` : ""} What you wrote is kept.`);
  }
  tell();
  swap(drawn, parts, focus);
  step(results().dataset.state);
  ready();
  say(reweigh());
  if (focus) (document.getElementById(focus) ?? document.querySelector(focus))?.focus({ preventScroll: !parts.includes("terms") });
}

const kept = () => [...document.querySelectorAll("[data-keep]")];

function showAll(button) {
  button.dataset.all = "yes";
  button.removeAttribute("data-js");
  button.hidden = true;
}

function swap(drawn, parts, focus) {
  const open = new Map(kept().map((one) => [one.dataset.keep, one.open]));
  const all = $("more")?.dataset.all;
  for (const name of parts) {
    const old = document.querySelector(`[data-part="${name}"]`);
    const made = document.importNode(drawn.querySelector(`[data-part="${name}"]`), true);
    const focused = !focus && old.contains(document.activeElement) && document.activeElement.id;
    const scroll = old.scrollTop;
    old.replaceWith(made);
    made.scrollTop = scroll;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }
  for (const one of kept()) one.open ||= open.get(one.dataset.keep) ?? false;
  if (all && $("more")) showAll($("more"));
  if (!parts.includes("terms")) mark(drawn);
}

// What is wrong with a field, without drawing anew what somebody is typing in.
function mark(drawn) {
  for (const field of form().querySelectorAll("[data-part=terms] :is(input, textarea)[name]")) {
    const now = drawn.querySelector(`[name="${CSS.escape(field.name)}"]`);
    if (!now) continue;
    if (now.hasAttribute("aria-invalid")) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    const place = form().querySelector(`[data-problem="${CSS.escape(field.name)}"]`);
    if (place) place.textContent = drawn.querySelector(`[data-problem="${CSS.escape(field.name)}"]`).textContent;
  }
}

const load = (state, focus) => send(ALL, { do: "load", state }, focus);

document.addEventListener("input", (event) => {
  const { target } = event;
  if (!target.closest?.("[data-bench]")) return;
  if (target.dataset.slider !== undefined) document.querySelector(`[data-weight="${target.dataset.slider}"]`).value = target.value;
  else if (target.dataset.weight !== undefined) document.querySelector(`[data-slider="${target.dataset.weight}"]`).value = target.value;
  if (target.dataset.slider !== undefined || target.dataset.weight !== undefined) say(reweigh());
  if (target.id === "rb-set") send([...SCORES, "answers"]);
  else if (!["rb-new", "rb-import", "rb-file"].includes(target.id)) schedule();
});

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-bench]")) return;
  const button = event.submitter;
  if (button?.hasAttribute("data-native")) return; // a download
  event.preventDefault();
  const action = button?.value ?? "score";
  const [name, number] = action.split("-");
  const last = form().querySelectorAll("[data-term]").length;
  const focus = {
    add: `t${last}-weight`, remove: "rb-terms-title", drop: "rb-own-title", import: "rb-terms-title", reset: "rb-reset", preset: button?.id, own: "rb-mine-title",
    up: `rb-up-${Math.max(0, number - 1)}`, down: `rb-down-${Math.min(last - 1, Number(number) + 1)}`,
  }[name];
  if (action === "score") send(SCORES);
  else send(ALL, { do: action }, focus).then(() => {
    // A button at the end of the row is off: the other one of the pair is next to it.
    if (document.activeElement === document.body && (name === "up" || name === "down")) document.querySelector(`#rb-${name === "up" ? "down" : "up"}-${name === "up" ? 0 : last - 1}`)?.focus();
  });
});

function go(by) {
  const to = at + by;
  if (to < 0 || to >= steps.length) return;
  at = to;
  load(steps[to], by < 0 ? "[data-undo]" : "[data-redo]").then(() => note(steps[to]));
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button");
  if (!button) return;
  if (button.matches("[data-undo]")) go(-1);
  else if (button.matches("[data-redo]")) go(1);
  else if (button.matches("[data-link]")) {
    await note(results().dataset.state);
    copyText(location.href, button);
  } else if (button.matches("[data-copies]")) copyText(document.querySelector(`[data-code-${button.dataset.copies}]`).textContent, button);
  else if (button.matches("[data-ask]")) ask(button);
  else if (button.matches("[data-more]")) showAll(button);
});

document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
  if (event.target.closest?.("textarea, input:not([type=range], [type=checkbox])")) return; // the field's own undo
  event.preventDefault();
  go(event.shiftKey ? 1 : -1);
});

// The model's own answers: one greedy, then two drawn, as a group that tuning compares would be.
const FIELD = { caption: "length", query: "question", detect: "object", point: "object" };
async function ask(button) {
  const { skill, prompt, sample, image, ask: key } = button.dataset;
  const label = button.textContent;
  button.disabled = true;
  try {
    const said = new Set();
    let empty = 0;
    for (const [number, temperature] of [0, 1, 1].entries()) {
      button.textContent = `Asking, ${number + 1} of 3…`;
      const data = new FormData();
      data.set("skill", skill);
      data.set(FIELD[skill], prompt || "normal");
      data.set("settings", JSON.stringify({ temperature, seed: number }));
      if (sample) data.set("sample", sample);
      else data.set("image", await (await fetch(image)).blob(), "image.webp");
      const job = await submit(data, crypto.randomUUID?.() ?? String(Math.random()), undefined, (notice) => tell(`${notice} The answers so far are kept.`));
      tell();
      const end = await follow(job, () => {}, () => {});
      const text = words(end.data.result ?? end.data);
      if (!text.trim()) {
        empty += 1;
        continue;
      }
      if (!said.has(text)) await keep(key, text, temperature ? `the model, temperature ${temperature}` : "the model");
      said.add(text);
    }
    if (empty) tell(empty === 1 ? EMPTY : `The model gave ${empty} empty answers.`);
  } catch (error) {
    tell(`The model could not be asked: ${error.message} ${error.hint ?? ""} The answers so far are kept.`);
  } finally {
    const now = document.querySelector(`[data-ask="${CSS.escape(key)}"]`);
    if (now) {
      now.disabled = false;
      now.textContent = label;
      now.focus({ preventScroll: true });
    }
  }
}

function words(result) {
  const text = result.answer ?? result.caption;
  if (text !== undefined) return text;
  const round = (row, names) => Object.fromEntries(names.map((n) => [n, Math.round(row[n] * 1000) / 1000]));
  if (result.objects) return JSON.stringify({ objects: result.objects.map((o) => round(o, ["x_min", "y_min", "x_max", "y_max"])) });
  return JSON.stringify({ points: (result.points ?? []).map((p) => round(p, ["x", "y"])) });
}

async function keep(item, text, by) {
  const number = form().querySelectorAll("[data-own] > li").length;
  await send(ALL, { [`own${number}-text`]: text, [`own${number}-item`]: item, [`own${number}-by`]: by });
  const button = document.querySelector(`[data-ask="${CSS.escape(item)}"]`);
  if (button) button.disabled = true;
}

async function begin() {
  const packed = new URLSearchParams(location.hash.slice(1)).get("r");
  if (packed) {
    try {
      return await load(await unpack(packed));
    } catch {
      tell("The reward in this link cannot be read: it may have been cut. This is a new one.");
    }
  }
  steps.push(results().dataset.state);
  at = 0;
  ready();
}

addEventListener("hashchange", () => { if (location.hash.startsWith("#r=")) begin(); });
begin();
