// An answer that is on its way, on the page of a link: it streams in, and the page then shows it whole.
import { follow } from "./job-client.js";

const page = document.querySelector("[data-follow]");
const answer = page.querySelector("[data-answer]");
let text = "";

function show(type, data) {
  if (type !== "token") return;
  text += data.text;
  answer.textContent = text;
}

try {
  await follow({ events_url: page.dataset.follow }, show, () => {});
} catch { /* failed or refused: the page says which */ }
location.reload();
