// Shows the fields that the chosen skill reads, and asks about several images one after the other.
import { call } from "./job-client.js";

const skill = document.querySelector("#cm-skill");
const form = skill.form;
const input = document.querySelector("#cm-image");
const box = document.querySelector("[data-progress]");
const show = () => {
  for (const field of document.querySelectorAll("[data-for]")) field.hidden = !field.dataset.for.split(" ").includes(skill.value);
};
skill.addEventListener("change", show);
show();

const MOST_WAIT_S = 60;
const say = (text) => (box.querySelector("[data-progress-text]").textContent = text);
const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

function failed(file, text) {
  const item = document.createElement("li");
  item.textContent = `${file.name}: ${text}`;
  box.querySelector("[data-failures]").append(item);
}

// One image; it waits where the server asks to come again.
async function ask(file, group) {
  const data = new FormData(form);
  data.delete("image");
  data.append("image", file, file.name);
  data.set("grid", "1");
  if (group) data.set("group", group);
  for (;;) {
    try {
      return await call(location.pathname, { method: "POST", body: data, headers: { Accept: "application/json" } });
    } catch (error) {
      if (!(error.wait <= MOST_WAIT_S)) throw error;
      say(`${error.message} It goes on in ${Math.ceil(error.wait)} s.`);
      await pause(error.wait);
    }
  }
}

async function askAll(files) {
  const bar = box.querySelector("[data-bar]");
  const button = form.querySelector("[type=submit]");
  box.hidden = false;
  box.querySelector("[data-failures]").replaceChildren();
  button.disabled = true;
  bar.max = files.length;
  let first = null;
  let failures = 0;
  for (const [number, file] of files.entries()) {
    bar.value = number;
    say(`Image ${number + 1} of ${files.length}: ${file.name}`);
    try {
      first ??= await ask(file, "");
      if (first.file === undefined) first.file = file;
      else await ask(file, first.id);
    } catch (error) {
      failures += 1;
      failed(file, error.text ?? error.message);
    }
  }
  bar.value = files.length;
  button.disabled = false;
  say(failures ? `${files.length - failures} of ${files.length} images are asked about.` : "All images are asked about.");
  if (!first) return;
  const link = box.querySelector("[data-grid]");
  link.href = first.grid;
  link.hidden = false;
  if (failures) link.focus();
  else location.assign(first.grid);
}

form.addEventListener("submit", (event) => {
  const files = [...input.files];
  if (files.length < 2) return;
  event.preventDefault();
  if (files.length > Number(input.dataset.most)) {
    box.hidden = false;
    say(`At most ${input.dataset.most} images are compared at once; ${files.length} are chosen.`);
    return;
  }
  askAll(files);
});
