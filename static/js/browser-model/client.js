// The page's side of the model in the browser: one worker, one question at a time.
import { chooseBackend } from "./backend.js";

const CANCEL_MS = 500;

export class BrowserModel {
  // `parts` names the worker and the files it loads, each with its address; `bytes` says how much
  // that is on each backend.
  constructor({ bytes, ...parts }) {
    this.bytes = bytes;
    this.urls = Object.fromEntries(Object.entries(parts).map(([part, address]) => [part, new URL(address, location.href).href]));
    this.worker = null;
  }

  static get isSupported() {
    return typeof WebAssembly === "object" && typeof Worker === "function" && typeof OffscreenCanvas === "function";
  }

  // Where an answer would run here, and how many megabytes that loads at most.
  async cost() {
    this.backend ??= await chooseBackend();
    return { backend: this.backend, megabytes: this.megabytes(this.backend) };
  }

  megabytes(backend) {
    return Math.round(this.bytes[backend] / 1e6);
  }

  // Calls onEvent(type, data) as the server's stream would; resolves at the end.
  async ask({ skill, text, blob, key }, onEvent) {
    this.worker ??= new Worker(this.urls.worker, { type: "module" });
    return new Promise((resolve, reject) => {
      this.end = () => resolve({ type: "cancelled" });
      this.worker.onmessage = ({ data }) => {
        if (data.type === "result" || data.type === "cancelled") resolve({ type: data.type, data: data.data });
        else if (data.type === "error") reject(new Error(data.message));
        else {
          if (data.type === "restart") this.backend = "WebAssembly";
          onEvent(data.type, data.type === "progress" ? { megabytes: data.bytes / 1e6, of: this.megabytes(data.backend) } : data);
        }
      };
      this.worker.onerror = (event) => {
        this.worker.terminate();
        this.worker = null;
        reject(new Error(event.message || "The worker could not be started."));
      };
      this.worker.postMessage({ type: "ask", skill, text, blob, key, urls: this.urls });
    }).finally(() => clearTimeout(this.timer));
  }

  // Between two tokens the worker stops by itself. While it loads or encodes it does not listen: it is
  // ended, and the next question starts another.
  cancel() {
    this.worker?.postMessage({ type: "cancel" });
    this.timer = setTimeout(() => {
      this.worker?.terminate();
      this.worker = null;
      this.end();
    }, CANCEL_MS);
  }
}
