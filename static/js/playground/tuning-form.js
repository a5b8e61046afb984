// The form that starts a run: shows the fields that matter, and fetches what the check comes to.
const form = document.querySelector("[data-run-form]");
const WAIT_MS = 900;
const part = () => form.querySelector("[data-part=check]");

// `data-when="source=world"`: shown while that field has that value, and its outer ones are shown.
function show() {
  for (const place of form.querySelectorAll("[data-when]")) {
    const [name, value] = place.dataset.when.split("=");
    place.hidden = form.elements[name].value !== value;
  }
}

// Settings that are still a base's own become those of the base that is chosen now.
const bases = JSON.parse(document.getElementById("settings-by-base").textContent);
let base = bases[form.elements.base.value];
function rebase() {
  const next = bases[form.elements.base.value];
  for (const [name, value] of Object.entries(next.settings)) {
    const field = form.elements[name];
    if (base && field.value !== "" && Number(field.value) === base.settings[name]) field.value = value;
  }
  form.querySelector("[data-base-about]").textContent = next.about;
  base = next;
}

let asked = 0;
async function look() {
  const number = ++asked;
  const data = new FormData(form);
  data.set("do", "check");
  data.delete("file"); // it was taken in: the choice beside it names it
  let drawn = null;
  try {
    const response = await fetch(form.action, { method: "POST", body: data });
    drawn = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-part=check]");
  } catch {
    // Offline for a moment: the next look tells.
  }
  if (number !== asked) return;
  if (drawn) {
    const keeps = part().contains(document.activeElement);
    part().replaceWith(drawn);
    if (keeps) drawn.querySelector("h2").focus({ preventScroll: true });
  }
  if (!drawn || "waiting" in drawn.dataset) setTimeout(() => number === asked && look(), WAIT_MS);
  else if (matchMedia("(max-width: 1099px)").matches) drawn.scrollIntoView({ block: "start" });
}

form.addEventListener("input", (event) => {
  show();
  if (event.target.name === "base") rebase();
  if (event.target.name === "title") return;
  asked += 1; // what is under way is of other settings
  const start = part().querySelector("[value=start]");
  if (start || "waiting" in part().dataset) part().querySelector("[data-stale]").hidden = false;
});

show();
if ("waiting" in part().dataset) setTimeout(look, WAIT_MS);
if (!document.querySelector("[role=alert]") && part().querySelector(".banner")) part().scrollIntoView({ block: "nearest" });
