// What a reload of the page would lose: an uploaded image, and text longer than the address takes.
const CACHE = "playground-uploads";
const DAY_MS = 86_400_000;
const FIELDS = "playground-fields";
const UPLOAD = "playground-upload";

// Whether this page was there before: reloaded, or come back to.
export function isReturn() {
  return ["reload", "back_forward"].includes(performance.getEntriesByType("navigation")[0]?.type);
}

export function keepFields(fields) {
  attempt(() => sessionStorage.setItem(FIELDS, JSON.stringify(fields)));
}

export function keptFields() {
  return attempt(() => JSON.parse(sessionStorage.getItem(FIELDS))) ?? {};
}

export function hasUpload() {
  return Boolean(attempt(() => sessionStorage.getItem(UPLOAD)) && globalThis.caches);
}

// The upload stays on this device, under a name of this tab's; what other tabs left is gone after a day.
export async function keepUpload(file) {
  if (!globalThis.caches) return; // an insecure address has none
  try {
    const address = `/playground/upload/${crypto.randomUUID()}`;
    const before = sessionStorage.getItem(UPLOAD);
    const cache = await caches.open(CACHE);
    const headers = { "Content-Type": file.type, "File-Name": encodeURIComponent(file.name || "image"), "Kept-At": String(Date.now()) };
    await cache.put(address, new Response(file, { headers }));
    sessionStorage.setItem(UPLOAD, address);
    if (before) await cache.delete(before);
    for (const request of await cache.keys()) {
      const kept = await cache.match(request);
      if (Date.now() - Number(kept?.headers.get("Kept-At")) > DAY_MS) await cache.delete(request);
    }
  } catch { /* no room: a reload asks for the image again */ }
}

export async function keptUpload() {
  try {
    const kept = await (await caches.open(CACHE)).match(sessionStorage.getItem(UPLOAD));
    if (!kept) return null;
    return new File([await kept.blob()], decodeURIComponent(kept.headers.get("File-Name")), { type: kept.headers.get("Content-Type") });
  } catch {
    return null;
  }
}

export async function forgetUpload() {
  if (!hasUpload()) return;
  const address = sessionStorage.getItem(UPLOAD);
  sessionStorage.removeItem(UPLOAD);
  try {
    await (await caches.open(CACHE)).delete(address);
  } catch { /* it is gone after a day */ }
}

// A browser may forbid a page to keep anything.
function attempt(action) {
  try {
    return action();
  } catch {
    return null;
  }
}
