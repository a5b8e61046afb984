// The SDK panel's Run: the request that the code beside it makes, sent to this server, phase by phase.
import { answerText } from "./playground/answer.js";
import { JobError, follow, submit } from "./playground/job-client.js";

const STAGES = { queued: "queue", encoding: "encode", decoding: "tokens" };

export function mount(panel) {
  const { sample, question } = JSON.parse(panel.dataset.sdk);
  const button = panel.querySelector("[data-sdk-run]");
  const answer = panel.querySelector("[data-sdk-answer]");
  const box = panel.querySelector("[data-sdk-json-box]");
  const phase = (name) => panel.querySelector(`[data-phase="${name}"]`);
  const order = [...panel.querySelectorAll("[data-phase]")].map((item) => item.dataset.phase);

  const enter = (name) => {
    const now = order.indexOf(name);
    order.forEach((other, at) => { phase(other).dataset.state = at < now ? "done" : at === now ? "now" : ""; });
  };
  const time = (name, ms) => { phase(name).querySelector("[data-time]").textContent = ms === undefined ? "" : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`; };

  async function run() {
    button.disabled = true;
    answer.textContent = "";
    box.hidden = true;
    for (const name of order) time(name);
    enter("request");
    const started = performance.now();
    try {
      const form = new FormData();
      form.set("skill", "query");
      form.set("question", question);
      form.set("sample", sample);
      const job = await submit(form, crypto.randomUUID());
      time("request", performance.now() - started);
      enter("queue");
      const { data } = await follow(
        job,
        (type, event) => {
          if (type === "stage" || type === "status") {
            const name = STAGES[event.stage ?? event.status];
            if (name) enter(name);
          }
          if (type === "token") {
            enter("tokens");
            answer.textContent += event.text;
          }
        },
        (notice) => { panel.querySelector("[data-sdk-note]").textContent = notice; },
      );
      const { timings } = data;
      time("queue", timings.queue_ms);
      time("encode", timings.encode_ms);
      time("tokens", timings.total_ms - timings.queue_ms - timings.encode_ms);
      time("done", performance.now() - started);
      order.forEach((name) => { phase(name).dataset.state = "done"; });
      answer.textContent = answerText(data.result);
      panel.querySelector("[data-sdk-json]").textContent = JSON.stringify(data, null, 2);
      box.hidden = false;
    } catch (error) {
      order.forEach((name) => { phase(name).dataset.state = ""; });
      const told = error instanceof JobError ? error : new JobError({ message: "The request failed." });
      answer.textContent = `${told.message} ${told.hint ?? ""}`;
    } finally {
      button.disabled = false;
    }
  }
  button.hidden = false;
  button.addEventListener("click", run);
}
