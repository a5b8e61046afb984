// Answers that are on their way, on the page of a link or of a comparison: they stream in, and the page then
// shows them whole. And the switches of what is drawn on the image.
import { follow } from "./job-client.js";

async function fill(place) {
  const answer = place.querySelector("[data-answer]");
  let text = "";
  const show = (type, data) => {
    if (type !== "token") return;
    text += data.text;
    answer.textContent = text;
  };
  try {
    await follow({ events_url: place.dataset.follow }, show, () => {});
  } catch { /* failed or refused: the page says which */ }
}

const waiting = [...document.querySelectorAll("[data-follow]")];
if (waiting.length) Promise.all(waiting.map(fill)).then(() => location.reload());

for (const box of document.querySelectorAll("[data-layer]")) {
  box.addEventListener("change", () => {
    document.querySelector(`.cm-layer.cm-${box.dataset.layer}`).toggleAttribute("hidden", !box.checked);
  });
}
