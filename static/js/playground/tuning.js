// A run's page: draws its figures, and follows what its worker reports. The page is whole without this.
import { RunCharts, inWords } from "./run-charts.js";

const page = document.querySelector("[data-run]");
const data = JSON.parse(document.querySelector("#tn-data").textContent);
const ENDED = ["succeeded", "failed", "cancelled"];
const NAMES = { queued: "Waiting", running: "Running", paused: "Paused", succeeded: "Finished", failed: "Failed", cancelled: "Cancelled" };
const title = document.title;
const followsNewest = () => !new URLSearchParams(location.search).has("step");
const part = (name) => page.querySelector(`[data-part="${name}"]`);

function say(text) {
  page.querySelector("[data-live]").textContent = text;
}

function notice(text = "") {
  page.querySelector("[data-notice]").hidden = !text;
  page.querySelector("[data-notice-text]").textContent = text;
}

// Charts, and the tables beneath them.

const charts = new RunCharts(page, data, {
  onDraw: () => {
    page.querySelector("[data-collapse]").hidden = !hasCollapsed();
  },
});

function hasCollapsed() {
  const [share, count] = data.collapse;
  const found = charts.points().map((row) => row.entropy).filter((value) => value !== undefined);
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  return found.length >= 2 * count && sum(found.slice(-count)) < share * sum(found.slice(0, count));
}

// What a step, a checkpoint or an end changes.

function onStep(step) {
  charts.keep(step);
  const { at } = charts;
  if (step.step !== at) return charts.draw();
  const state = part("state");
  state.querySelector("[data-at]").textContent = at;
  state.querySelector("[data-progress]").value = at;
  state.querySelector("[data-eta]").textContent = data.status === "running" && step.eta_s ? `about ${inWords(step.eta_s)} left` : "";
  if (data.status === "running") document.title = `${at}/${data.steps} · ${title}`;
  charts.draw();
  if (followsNewest()) newest();
}

let newestLater = 0;
function newest() {
  if (newestLater) return;
  newestLater = setTimeout(() => {
    newestLater = 0;
    const busy = part("rollouts").contains(document.activeElement) || !followsNewest();
    if (!busy) show("", { focus: false });
  }, 1500);
}

let changeLater = 0;
function changed() {
  clearTimeout(changeLater);
  changeLater = setTimeout(async () => {
    let response;
    try {
      response = await fetch(location.pathname, { headers: { "X-Partial": "1" } });
    } catch {
      return; // the next event looks again
    }
    if (!response.ok) return;
    const drawn = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const name of ["state", "taken"]) {
      const fresh = drawn.querySelector(`[data-part="${name}"]`);
      const old = part(name);
      const open = old.querySelector("details[open]");
      if (!fresh || (open && old.contains(document.activeElement))) continue;
      const had = old.contains(document.activeElement);
      old.replaceWith(fresh);
      if (had) fresh.querySelector("button, a")?.focus({ preventScroll: true });
    }
    data.status = part("state").dataset.status;
  }, 300);
}

function status(name) {
  if (name === data.status && !part("state").dataset.wish) return;
  const ends = ENDED.includes(name);
  data.status = name;
  document.title = name === "running" ? title : `${NAMES[name]} · ${title}`;
  say(`The run is ${NAMES[name].toLowerCase()}.`);
  changed();
  if (!ends) return;
  newest();
  ring(name);
  showBell();
}

// A notification of the browser when the run ends, for who asked for it, while this page is open somewhere.

const bell = page.querySelector("[data-bell]");
const wantsBell = () => localStorage.getItem("tuning-bell") === "1" && Notification.permission === "granted";

function showBell() {
  if (!("Notification" in window)) return;
  const denied = Notification.permission === "denied";
  bell.hidden = denied || ENDED.includes(data.status);
  const on = wantsBell();
  bell.querySelector("[data-bell-button]").setAttribute("aria-pressed", String(on));
  bell.querySelector("[data-bell-about]").textContent = on ? "Your browser tells you, while this page is open in a tab." : "";
}

bell.addEventListener("click", async (event) => {
  if (!event.target.closest("button")) return;
  const on = !wantsBell() && (await Notification.requestPermission()) === "granted";
  localStorage.setItem("tuning-bell", on ? "1" : "0");
  showBell();
});

function ring(name) {
  if (!("Notification" in window) || !wantsBell()) return;
  const shown = new Notification(`${NAMES[name]}: ${data.title}`, { body: `Step ${charts.at} of ${data.steps}.`, tag: page.dataset.run });
  shown.addEventListener("click", () => window.focus());
}

const logged = new Set();
function log(seconds, message, id) {
  if (logged.has(id)) return; // a stream that is followed anew begins anew
  logged.add(id);
  const list = page.querySelector("[data-log]");
  list.querySelector("[data-log-empty]")?.remove();
  const line = document.createElement("li");
  line.append(Object.assign(document.createElement("span"), { className: "mono", textContent: seconds === undefined ? "" : `${Number(seconds).toFixed(1)} s` }), Object.assign(document.createElement("span"), { textContent: message }));
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(line);
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function follow() {
  const source = new EventSource(page.dataset.events);
  const on = (kind, react) => source.addEventListener(kind, (event) => {
    notice();
    react(JSON.parse(event.data), event.lastEventId);
  });
  on("step", onStep);
  on("log", (event, id) => log(event.at_s, event.message, id));
  on("measured", (event, id) => {
    log(undefined, `Measured ${event.when}: reward ${event.reward.toFixed(3)} on ${event.count} held-out examples`, id);
    if (!ENDED.includes(data.status)) changed();
  });
  on("checkpoint", (event, id) => {
    if (!event.is_kept) return;
    log(undefined, `Checkpoint of step ${event.step} kept`, id);
    if (!ENDED.includes(data.status)) changed();
  });
  let replayed = null;
  on("status", (event, id) => {
    log(undefined, NAMES[event.status], id);
    // A replay tells of states that have passed: the last of them is the one that counts.
    clearTimeout(replayed);
    replayed = setTimeout(() => !ENDED.includes(data.status) && status(event.status), 250);
  });
  for (const [kind, name] of [["result", "succeeded"], ["cancelled", "cancelled"], ["error", "failed"]]) {
    source.addEventListener(kind, (event) => {
      if (!event.data || JSON.parse(event.data).code === "stream_interrupted") return; // the connection: it comes back
      clearTimeout(replayed);
      source.close();
      notice();
      log(undefined, NAMES[name], "end");
      if (!ENDED.includes(data.status)) status(name);
    });
  }
  source.onerror = (event) => {
    if (event.data !== undefined) return;
    notice("The connection was lost; resuming. Nothing is lost.");
    // A server that refuses closes it for good; one that is gone is asked again by the browser.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
  };
  addEventListener("pagehide", () => source.close(), { once: true });
}

// Looking from step to step; the address names the one that is looked at.

let shows = 0;
async function show(step, { focus = true } = {}) {
  const number = ++shows;
  const query = step ? `?step=${step}` : "";
  part("rollouts").setAttribute("aria-busy", "true");
  let drawn = null;
  try {
    const response = await fetch(location.pathname + query, { headers: { "X-Partial": "rollouts" } });
    if (response.ok) drawn = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-part=rollouts]");
  } catch {
    // Said below.
  }
  if (number !== shows) return;
  if (!drawn) {
    part("rollouts").removeAttribute("aria-busy");
    return notice("The answers of that step could not be loaded. Try again.");
  }
  part("rollouts").replaceWith(drawn);
  if (!focus) return;
  history.replaceState(null, "", location.pathname + query);
  drawn.querySelector("h2").focus({ preventScroll: true });
  say(drawn.querySelector("h2").textContent);
}

page.addEventListener("click", (event) => {
  const link = event.target.closest("[data-to]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  show(link.dataset.to);
});
addEventListener("keydown", (event) => {
  const key = { ArrowLeft: "before", ArrowRight: "after" }[event.key];
  if (!key || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest("input, select, textarea, summary, .scroll-x, [data-log]")) return;
  const to = part("rollouts").dataset[key];
  if (!to) return;
  event.preventDefault();
  show(to);
});

charts.start(page.dataset.library);
follow();
showBell();
