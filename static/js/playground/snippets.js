// The current run as code that asks it again: the server writes it, this shows it.
import { bindCodeTabs } from "../shell.js";

async function fetched(job) {
  try {
    const response = await fetch(`/playground/jobs/${job}/code/`);
    if (response.ok) return new DOMParser().parseFromString(await response.text(), "text/html").body.children;
  } catch {
    // Said below.
  }
  return null;
}

// Fills `list` when `box` is opened. A run of the model in the browser has no job, and no code.
export function showCode(box, list, job) {
  box.hidden = !job;
  list.replaceChildren();
  list.dataset.job = job ?? "";
  const load = async () => {
    if (!box.open || list.querySelector("[data-code-tabs]")) return;
    list.setAttribute("aria-busy", "true");
    const parts = await fetched(job);
    if (list.dataset.job !== job) return; // another run's by now
    list.removeAttribute("aria-busy");
    if (!parts) {
      list.textContent = "The code could not be loaded. Close this and open it again.";
      return;
    }
    list.replaceChildren(...parts);
    bindCodeTabs(list.querySelector("[data-code-tabs]"));
  };
  box.ontoggle = job ? load : null;
  if (job) load();
}
