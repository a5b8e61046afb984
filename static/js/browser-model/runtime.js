// onnxruntime-web on one backend, with the model's two graphs loaded.
import { Tokenizer } from "./tokenizer.js";

// The backend failed, not the question and not the network.
export class BackendError extends Error {
  constructor(backend, cause) {
    super(cause.message.slice(0, 200));
    this.backend = backend;
  }
}

const PROGRESS_MS = 100;

// Loads files one beside the other, and reports how many bytes there are by now.
class Loader {
  constructor(backend) {
    this.backend = backend;
    this.bytes = 0;
    this.reportedAt = 0;
  }

  async load(url, name) {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${name} could not be loaded (${response.status}).`);
    const chunks = [];
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      this.add(value.length);
    }
    this.report(); // what came since the last time
    const bytes = new Uint8Array(await new Blob(chunks).arrayBuffer());
    postMessage({ type: "log", message: `${name}: ${(bytes.length / 1e6).toFixed(1)} MB` });
    return bytes;
  }

  add(bytes) {
    this.bytes += bytes;
    if (performance.now() - this.reportedAt >= PROGRESS_MS) this.report();
  }

  report() {
    this.reportedAt = performance.now();
    postMessage({ type: "progress", bytes: this.bytes, backend: this.backend });
  }
}

async function runtime(urls, backend, loader) {
  const [module, glue, wasm] = backend === "WebGPU" ? [urls.ortGpu, urls.ortGpuLoader, urls.ortGpuWasm] : [urls.ort, urls.ortLoader, urls.ortWasm];
  const [ort, binary] = await Promise.all([import(module), loader.load(wasm, "runtime")]);
  ort.env.wasm.numThreads = 1; // more needs a cross-origin isolated page
  ort.env.wasm.wasmPaths = { mjs: glue };
  ort.env.wasm.wasmBinary = binary.buffer;
  ort.env.logLevel = "fatal";
  return ort;
}

export async function load(urls, backend) {
  const started = performance.now();
  const gpu = backend === "WebGPU";
  const blame = (cause) => { throw new BackendError(backend, cause); };
  const loader = new Loader(backend);
  const [facts, tokenizer, encoder, decoder, ort] = await Promise.all([
    fetch(urls.facts).then((r) => r.json()),
    fetch(urls.tokenizer).then((r) => r.json()),
    loader.load(urls.encoder, "encoder"),
    loader.load(urls.decoder, "decoder"),
    runtime(urls, backend, loader).catch(blame),
  ]);
  const silent = { logSeverityLevel: 4 }; // what fails is thrown as well
  const options = {
    executionProviders: [gpu ? "webgpu" : "wasm"],
    graphOptimizationLevel: "all",
    ...silent,
    // What the decoder reads again stays where it was computed.
    preferredOutputLocation: gpu ? { keys: "gpu-buffer", values: "gpu-buffer" } : undefined,
  };
  const session = (graph) => ort.InferenceSession.create(graph, options).catch(blame);
  const [first, next] = [await session(encoder), await session(decoder)];
  // Not everything that runs on a device fails when it is lost: some of it never ends.
  const lost = gpu ? (await ort.env.webgpu.device).lost.then(({ message }) => blame({ message: message || "the device was lost" })) : new Promise(() => {});
  lost.catch(() => {}); // told to whoever runs something
  postMessage({ type: "log", message: `loaded in ${Math.round(performance.now() - started)} ms, ${backend}` });
  return {
    backend,
    facts,
    tokenizer: new Tokenizer(tokenizer),
    tensor: (type, data, shape) => new ort.Tensor(type, data, shape),
    encode: (feeds) => Promise.race([first.run(feeds, silent), lost]).catch(blame),
    decode: (feeds) => Promise.race([next.run(feeds, silent), lost]).catch(blame),
    cache: { key: null },
  };
}

// A tensor on the GPU is freed by hand, one of plain memory by the collector. A lost device has
// nothing left to free.
export function release({ keys, values }) {
  for (const tensor of [keys, values]) {
    try {
      if (tensor?.location === "gpu-buffer") tensor.dispose();
    } catch { /* gone already */ }
  }
}
