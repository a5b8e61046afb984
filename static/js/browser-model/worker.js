// Runs the embedded model in the visitor's browser: no image and no question leaves the machine.
import { resize } from "./resample.js";
import { Tokenizer } from "./tokenizer.js";

const LONGEST = 2048; // the server reduces larger images alike
let ready = null;
let stop = false;

async function fetchBytes(url, name) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${name} could not be loaded (${response.status}).`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  postMessage({ type: "log", message: `${name}: ${(bytes.length / 1e6).toFixed(1)} MB` });
  return bytes;
}

async function load(urls) {
  const started = performance.now();
  const ort = await import(urls.ort);
  ort.env.wasm.numThreads = 1; // more needs a cross-origin isolated page
  ort.env.wasm.wasmPaths = { mjs: urls.ortLoader, wasm: urls.ortWasm };
  const [facts, tokenizer, encoder, decoder] = await Promise.all([
    fetch(urls.facts).then((r) => r.json()),
    fetch(urls.tokenizer).then((r) => r.json()),
    fetchBytes(urls.encoder, "encoder"),
    fetchBytes(urls.decoder, "decoder"),
  ]);
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
  const model = {
    ort,
    facts,
    tokenizer: new Tokenizer(tokenizer),
    encoder: await ort.InferenceSession.create(encoder, options),
    decoder: await ort.InferenceSession.create(decoder, options),
    cache: { key: null },
  };
  postMessage({ type: "log", message: `loaded in ${Math.round(performance.now() - started)} ms, WebAssembly` });
  return model;
}

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

async function encode(model, blob, key) {
  if (key && model.cache.key === key) return { ...model.cache, ms: 0, cached: true };
  const started = performance.now();
  const side = model.facts.crop_size;
  const { data } = resize(await pixels(blob), side, side);
  const input = new Float32Array(3 * side * side);
  for (let at = 0; at < side * side; at += 1) for (let c = 0; c < 3; c += 1) input[c * side * side + at] = (data[at * 3 + c] / 255 - 0.5) / 0.5;
  const out = await model.encoder.run({ pixels: new model.ort.Tensor("float32", input, [1, 3, side, side]) });
  model.cache = { key, keys: out.keys, values: out.values };
  return { ...model.cache, ms: performance.now() - started, cached: false };
}

function prompt({ facts, tokenizer }, { skill, text }) {
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

async function answer({ skill, text, blob, key }) {
  const started = performance.now();
  const model = await ready;
  const loaded = performance.now() - started;
  postMessage({ type: "stage", stage: "encoding" });
  const image = await encode(model, blob, key);
  postMessage({ type: "stage", stage: "decoding" });
  const { ort, facts, tokenizer } = model;
  let ids = prompt(model, { skill, text });
  let { keys, values } = image;
  let room = facts.max_context - facts.prefix - ids.length;
  if (room < 1) throw new Error("The question is too long for this model.");
  const asked = ids.length + facts.prefix;
  const said = [];
  let shown = "";
  let log = 0;
  let choices = 0;
  let first = 0;
  let reason = "stop";
  for (;;) {
    if (stop) return postMessage({ type: "cancelled" });
    const out = await model.decoder.run({
      ids: new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]),
      past_keys: keys,
      past_values: values,
    });
    ({ keys, values } = out);
    const { token, probability } = pick(out.logits.data, said.length ? facts.answer_id : null);
    first ||= performance.now() - started - loaded;
    log += Math.log(probability);
    choices += 1;
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
    ids = [token];
  }
  const total = performance.now() - started - loaded;
  postMessage({
    type: "result",
    data: {
      skill,
      result: { [skill === "caption" ? "caption" : "answer"]: tokenizer.decode(said) },
      timings: { queue_ms: 0, load_ms: loaded, encode_ms: image.ms, encode_cached: image.cached, first_token_ms: first, decode_ms: total - first, total_ms: total },
      confidence: Math.exp(log / choices),
      tokens: { prompt: asked, completion: choices },
      finish_reason: reason,
      variant: "browser",
    },
  });
}

addEventListener("message", async ({ data }) => {
  if (data.type === "cancel") {
    stop = true;
    return;
  }
  stop = false;
  try {
    if (!ready) {
      postMessage({ type: "stage", stage: "loading" });
      ready = load(data.urls);
      ready.catch(() => { ready = null; });
    }
    await answer(data);
  } catch (error) {
    postMessage({ type: "error", message: error.message });
  }
});
