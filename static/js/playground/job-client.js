// Talks to /v1/jobs: submit, follow the events (resuming after a lost connection), cancel.
export class JobError extends Error {
  constructor({ message, code = "error", hint = "", wait = NaN }) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.wait = wait; // seconds, where the server is busy or away
  }

  // Message and hint, where both are shown in one line.
  get text() {
    return `${this.message} ${this.hint}`.trim();
  }
}

const OFFLINE = { message: "The server cannot be reached.", code: "offline", hint: "Your image and prompt are kept. Check the connection and try again." };

async function respond(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new JobError(OFFLINE);
  }
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    const wait = [429, 503].includes(response.status) ? retryAfter(response.headers.get("Retry-After")) : NaN;
    const told = body.error ?? { message: `The server answered with ${response.status}.`, hint: "Try again in a moment." };
    // The hint ends the message as well, for clients that show nothing else.
    const message = told.hint && told.message.endsWith(told.hint) ? told.message.slice(0, -told.hint.length).trim() : told.message;
    throw new JobError({ ...told, message, wait, hint: wait && !told.hint ? `Try again in ${Math.ceil(wait)} s.` : told.hint });
  }
  return response;
}

export async function call(url, options = {}) {
  return (await respond(url, options)).json().catch(() => ({}));
}

// The server's picture of a file that the browser cannot show, and the name to ask about it by.
export async function previewOf(url, file, token) {
  const form = new FormData();
  form.set("image", file, file.name || "image");
  const response = await respond(url, { method: "POST", body: form, headers: { "X-CSRFToken": token } });
  return { id: response.headers.get("Image-Id"), blob: await response.blob() };
}

const TRIES = 4;
const LONGEST_S = 60;

// Seconds that a Retry-After asks for, as a number or a date; NaN where there is none.
export function retryAfter(value, now = Date.now()) {
  if (!value) return NaN;
  return /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - now) / 1000;
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, 1000 * seconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

// A busy server says how long to wait: told by onNotice, waited for, and tried again a few times.
export async function submit(form, key, signal, onNotice = () => {}) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await call("/v1/jobs", { method: "POST", body: form, headers: { "Idempotency-Key": key }, signal });
    } catch (error) {
      const wait = Math.max(1, error.wait);
      if (!(wait <= LONGEST_S) || tries === TRIES) throw error;
      onNotice(`${error.message} Trying again in ${Math.ceil(wait)} s.`);
      await pause(wait * (1 + Math.random() / 5), signal);
    }
  }
}

export function cancel(job) {
  return call(job.cancel_url, { method: "POST" });
}

// Calls onEvent(type, data) until the terminal event; survives dropped connections.
export function follow(job, onEvent, onNotice) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(job.events_url);
    let drops = 0;
    const types = ["status", "stage", "token", "object", "point", "log", "result", "error", "cancelled"];
    for (const type of types) {
      source.addEventListener(type, (event) => {
        if (type === "error" && event.data === undefined) return; // a connection error, below
        const data = JSON.parse(event.data);
        if (data.code === "stream_interrupted") return; // the connection ends next, and is made again
        drops = 0;
        onEvent(type, data);
        if (type === "result" || type === "cancelled") {
          source.close();
          resolve({ type, data });
        } else if (type === "error") {
          source.close();
          reject(new JobError(data));
        }
      });
    }
    source.onerror = (event) => {
      if (event.data !== undefined) return;
      drops += 1;
      // EventSource reconnects by itself with Last-Event-ID: nothing is lost meanwhile.
      onNotice("The connection was lost; resuming.");
      if (drops > 5 || source.readyState === EventSource.CLOSED) {
        source.close();
        reject(new JobError({ ...OFFLINE, hint: "The answer may still be finished on the server: try again to fetch it." }));
      }
    };
  });
}
