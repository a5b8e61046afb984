// Runs the embedded model in the visitor's browser: no image and no question leaves the machine.
import { chooseBackend } from "./backend.js";
import { resize } from "./resample.js";
import { BackendError, load, release } from "./runtime.js";

const LONGEST = 2048; // the server reduces larger images alike
let model = null;
let gpuFailed = false;
let stop = false;

// An image file → RGB on white, upright.
async function pixels(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", imageOrientation: "from-image" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const rgb = new Uint8Array(bitmap.width * bitmap.height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) rgb.set(data.subarray(from, from + 3), to);
  let image = { data: rgb, width: bitmap.width, height: bitmap.height };
  const longest = Math.max(image.width, image.height);
  if (longest > LONGEST) image = resize(image, Math.round((image.width * LONGEST) / longest), Math.round((image.height * LONGEST) / longest));
  return image;
}

async function encode(blob, key) {
  if (key && model.cache.key === key) return { ...model.cache, ms: 0, cached: true };
  const started = performance.now();
  const side = model.facts.crop_size;
  const { data } = resize(await pixels(blob), side, side);
  const input = new Float32Array(3 * side * side);
  for (let at = 0; at < side * side; at += 1) for (let c = 0; c < 3; c += 1) input[c * side * side + at] = (data[at * 3 + c] / 255 - 0.5) / 0.5;
  const out = await model.encode({ pixels: model.tensor("float32", input, [1, 3, side, side]) });
  release(model.cache);
  model.cache = { key, keys: out.keys, values: out.values };
  return { ...model.cache, ms: performance.now() - started, cached: false };
}

function prompt(skill, text) {
  const { facts, tokenizer } = model;
  if (skill === "caption") return facts.templates.caption[text];
  const { prefix, suffix } = facts.templates.query;
  return [...prefix, ...tokenizer.encode((facts.question_space ? " " : "") + text), ...suffix];
}

function pick(logits, masked) {
  if (masked !== null) logits[masked] = -Infinity;
  let best = 0;
  for (let n = 1; n < logits.length; n += 1) if (logits[n] > logits[best]) best = n;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - logits[best]);
  return { token: best, probability: 1 / sum };
}

// The greedy choices after a prompt, one by one.
async function* choices(image, prompted) {
  const { facts } = model;
  let { keys, values } = image;
  try {
    for (let ids = prompted, masked = null; ; masked = facts.answer_id) {
      const out = await model.decode({
        ids: model.tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]),
        past_keys: keys,
        past_values: values,
      });
      if (keys !== image.keys) release({ keys, values });
      ({ keys, values } = out);
      const choice = pick(out.logits.data, masked);
      yield choice;
      ids = [choice.token];
    }
  } finally {
    if (keys !== image.keys) release({ keys, values });
  }
}

async function answer({ skill, text, blob, key }, loadMs) {
  const started = performance.now();
  postMessage({ type: "stage", stage: "encoding" });
  const image = await encode(blob, key);
  if (stop) return postMessage({ type: "cancelled" });
  postMessage({ type: "stage", stage: "decoding" });
  const { facts, tokenizer } = model;
  const ids = prompt(skill, text);
  let room = facts.max_context - facts.prefix - ids.length;
  if (room < 1) throw new Error("The question is too long for this model.");
  const said = [];
  let shown = "";
  let log = 0;
  let made = 0;
  let first = 0;
  let reason = "stop";
  for await (const { token, probability } of choices(image, ids)) {
    first ||= performance.now() - started;
    log += Math.log(probability);
    made += 1;
    if (token === facts.eos_id) break;
    said.push(token);
    const whole = tokenizer.decode(said);
    if (!whole.endsWith("\ufffd") && whole.length > shown.length) {
      postMessage({ type: "token", text: whole.slice(shown.length) });
      shown = whole;
    }
    room -= 1;
    if (room < 1) {
      reason = "length";
      break;
    }
    if (stop) return postMessage({ type: "cancelled" });
  }
  const total = performance.now() - started;
  postMessage({
    type: "result",
    data: {
      skill,
      result: { [skill === "caption" ? "caption" : "answer"]: tokenizer.decode(said) },
      timings: { queue_ms: 0, load_ms: loadMs, encode_ms: image.ms, encode_cached: image.cached, first_token_ms: first, decode_ms: total - first, total_ms: loadMs + total },
      confidence: Math.exp(log / made),
      tokens: { prompt: ids.length + facts.prefix, completion: made },
      finish_reason: reason,
      variant: "browser",
      backend: model.backend,
    },
  });
}

// A GPU that fails, at loading or in the middle (its driver reset), is left for the processor;
// an answer under way begins again.
async function serve(data, started = performance.now()) {
  try {
    if (!model) {
      postMessage({ type: "stage", stage: "loading" });
      model = await load(data.urls, gpuFailed ? "WebAssembly" : await chooseBackend());
    }
    if (stop) postMessage({ type: "cancelled" });
    else await answer(data, performance.now() - started);
  } catch (error) {
    if (!(error instanceof BackendError) || error.backend !== "WebGPU") throw error;
    gpuFailed = true;
    model = null;
    postMessage({ type: "restart", reason: error.message });
    await serve(data, started);
  }
}

addEventListener("message", async ({ data }) => {
  if (data.type === "cancel") {
    stop = true;
    return;
  }
  stop = false;
  try {
    await serve(data);
  } catch (error) {
    postMessage({ type: "error", message: error.message });
  }
});
