// The moon that waxes with a job's stage, and the strip of where the time went.
const STAGES = { idle: [0, "Ready"], sending: [0, "Sending"], queued: [1, "Waiting for a worker"], loading: [1, "Loading the model"], running: [1, "Started"], encoding: [2, "Encoding the image"], prefill: [2, "Reading the prompt"], decoding: [3, "Answering"], done: [4, "Done"], cancelled: [0, "Cancelled"], failed: [0, "Failed"] };
// The lit part of a disc of radius 13 at four phases.
const PHASES = ["", "M16 3a13 13 0 0 1 0 26a18 18 0 0 0 0-26z", "M16 3a13 13 0 0 1 0 26z", "M16 3a13 13 0 0 1 0 26a18 18 0 0 1 0-26z", "M16 3a13 13 0 1 1 0 26a13 13 0 0 1 0-26z"];

export class Moon {
  constructor(root) {
    this.box = root.querySelector("[data-progress]");
    this.moon = this.box.querySelector("[data-moon]");
    this.lit = this.moon.querySelector(".moon__lit");
    this.label = this.moon.querySelector("[data-moon-label]");
  }

  // `detail` follows the stage's name: how far it is.
  set(stage, detail = "") {
    const [phase, name] = STAGES[stage] ?? STAGES.running;
    const text = detail ? `${name} · ${detail}` : name;
    this.box.hidden = false;
    this.lit.setAttribute("d", PHASES[phase]);
    this.label.textContent = text;
    this.moon.setAttribute("aria-valuenow", phase);
    this.moon.setAttribute("aria-valuetext", text);
    this.moon.toggleAttribute("data-running", !["idle", "done", "cancelled", "failed"].includes(stage));
    return text;
  }
}

const NS = "http://www.w3.org/2000/svg";
const ms = (value) => (value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value < 10 ? 1 : 0)} ms`);

// `backend` is what ran it in the browser; a server's answer names its variant instead.
export function showTimings(root, timings, backend = "") {
  const first = Math.max(0, timings.first_token_ms - timings.encode_ms);
  const parts = [
    ["queue", "Queue", timings.queue_ms, ms(timings.queue_ms)],
    ["load", "Load", timings.load_ms ?? 0, ms(timings.load_ms ?? 0)],
    ["encode", "Encode", timings.encode_ms, timings.encode_cached ? "reused" : ms(timings.encode_ms)],
    ["first", "First token", first, ms(timings.first_token_ms)],
    ["decode", "Decode", timings.decode_ms, ms(timings.decode_ms)],
  ].filter(([kind, , value]) => kind !== "load" || value >= 1);
  const whole = parts.reduce((sum, part) => sum + part[2], 0) || 1;
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", "0 0 1000 8");
  svg.setAttribute("preserveAspectRatio", "none");
  let x = 0;
  const list = [];
  for (const [kind, label, value, text] of parts) {
    const rect = document.createElementNS(NS, "rect");
    const width = (value / whole) * 1000;
    for (const [name, v] of Object.entries({ x, y: 0, width, height: 8, class: `part-${kind}` })) rect.setAttribute(name, v);
    svg.append(rect);
    x += width;
    list.push(row(`part-${kind}`, label, text));
  }
  list.push(row("", "Total", ms(timings.total_ms)));
  if (backend) list.push(row("", "By", backend));
  root.querySelector("[data-timing-bar]").replaceChildren(svg);
  root.querySelector("[data-timing-list]").replaceChildren(...list);
}

function row(kind, label, text) {
  const box = document.createElement("div");
  if (kind) box.className = kind;
  const dt = document.createElement("dt");
  dt.textContent = label;
  const dd = document.createElement("dd");
  dd.textContent = text;
  box.append(dt, dd);
  return box;
}
