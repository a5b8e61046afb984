// Answers that are on their way: the table is fetched anew until all are there, and its place on the page stays.
const table = () => document.querySelector("[data-reload]");

async function renew() {
  const text = await (await fetch(location.href)).text();
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const found = fresh.querySelector(".cm-grid");
  if (!found.hasAttribute("data-reload")) location.reload();
  else table().querySelector("tbody").replaceWith(found.querySelector("tbody"));
}

setInterval(() => document.hidden || renew().catch(() => {}), Number(table().dataset.reload) * 1000);
