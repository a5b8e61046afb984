// Which of two runtimes this machine gets: WebGPU where the browser has a real adapter (one drawn by
// the processor is far slower than WebAssembly) and can suspend WebAssembly, which the smaller of
// onnxruntime's WebGPU builds needs; the processor elsewhere.
export async function chooseBackend() {
  if (typeof WebAssembly.Suspending !== "function") return "WebAssembly";
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return adapter && !adapter.info?.isFallbackAdapter ? "WebGPU" : "WebAssembly";
}
