// The page's side of the model in the browser: one worker, one question at a time.
export class BrowserModel {
  // `parts` names the worker and the files it loads, each with its address.
  constructor(parts) {
    this.urls = Object.fromEntries(Object.entries(parts).map(([part, address]) => [part, new URL(address, location.href).href]));
    this.worker = null;
  }

  static get isSupported() {
    return typeof WebAssembly === "object" && typeof Worker === "function" && typeof OffscreenCanvas === "function";
  }

  // Calls onEvent(type, data) as the server's stream would; resolves at the end.
  async ask({ skill, text, blob, key }, onEvent) {
    this.worker ??= new Worker(this.urls.worker, { type: "module" });
    return new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => {
        if (data.type === "result" || data.type === "cancelled") resolve({ type: data.type, data: data.data });
        else if (data.type === "error") reject(new Error(data.message));
        else onEvent(data.type, data);
      };
      this.worker.onerror = (event) => {
        this.worker.terminate();
        this.worker = null;
        reject(new Error(event.message || "The worker could not be started."));
      };
      this.worker.postMessage({ type: "ask", skill, text, blob, key, urls: this.urls });
    });
  }

  cancel() {
    this.worker?.postMessage({ type: "cancel" });
  }
}
