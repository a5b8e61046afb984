// The calculator on the page of prices: recomputes as it is used, and keeps its state in the address.
import { imageCents, imagePrice, money, monthPrice } from "./costs.js";

const MOST = 1e9;
const LEAST = 1;

function bind(root) {
  const data = JSON.parse(document.getElementById("calculator-data").textContent);
  const form = root.querySelector("[data-calculator-form]");
  const typed = form.querySelector("[data-images]");
  const range = form.querySelector("[data-images-range]");
  const sum = root.querySelector("[data-sum]");
  const how = root.querySelector("[data-how]");
  const benchmarks = document.getElementById(root.dataset.benchmarks);
  const sentence = document.querySelector("[data-benchmark-sentence]");
  const note = document.querySelector("[data-benchmarks-note]");

  const images = () => Math.min(MOST, Math.max(LEAST, Number(typed.value.replace(/[^0-9]/g, "")) || LEAST));
  const chosen = (name) => form.elements[name].value;

  function read() {
    const kept = new URLSearchParams(location.hash.replace(/^#calculator\??/, ""));
    if (!location.hash.startsWith("#calculator?")) return;
    for (const name of ["skill", "variant", "plan"]) {
      const option = [...form.elements[name].options].find((o) => o.value === kept.get(name));
      if (option) form.elements[name].value = option.value;
    }
    if (/^[0-9]{1,10}$/.test(kept.get("images") ?? "")) typed.value = Number(kept.get("images")).toLocaleString("en-US");
    range.value = Math.log10(images());
  }

  function write() {
    const kept = new URLSearchParams({ images: images(), skill: chosen("skill"), variant: chosen("variant"), plan: chosen("plan") });
    history.replaceState(history.state, "", `#calculator?${kept}`);
  }

  function show() {
    const plan = data.plans[chosen("plan")];
    const rates = data.rates[`${chosen("variant")} ${chosen("skill")}`];
    const count = images();
    const text = count.toLocaleString("en-US");
    range.setAttribute("aria-valuetext", `${text} images`);
    if (!rates) {
      sum.textContent = "—";
      how.textContent = "This model has no such skill.";
      return;
    }
    const each = imagePrice(rates, plan.margin);
    const total = money(monthPrice(count, rates, plan.margin));
    const within = plan.images === null || count <= plan.images;
    sum.textContent = plan.isFree && within ? "$0.00" : total;
    if (plan.isFree && within) {
      how.textContent = `a month with ${plan.name}${plan.benchmarksOnly ? ", for images of registered benchmarks" : ""}. It costs ${total} to run.`;
    } else if (plan.isFree) {
      how.textContent = `to run ${text} images a month; ${plan.name} has ${plan.images.toLocaleString("en-US")}.`;
    } else {
      how.textContent = `for ${text} images a month with ${plan.name}: ${imageCents(each)} an image${plan.margin ? `, ${plan.margin} % above cost` : ""}.`;
    }
    benchmarkCosts(plan);
  }

  function benchmarkCosts(plan) {
    let told = false;
    for (const row of benchmarks.querySelectorAll("[data-benchmark]")) {
      const rates = data.rates[`${chosen("variant")} ${row.dataset.skill}`];
      const each = rates ? imageCents(imagePrice(rates, plan.margin)) : "—";
      const total = rates ? money(monthPrice(Number(row.dataset.images), rates, plan.margin)) : "—";
      row.querySelector("[data-each]").textContent = each;
      row.querySelector("[data-total]").textContent = total;
      if (rates && !told && sentence) {
        sentence.textContent = `Running ${row.dataset.title} (${Number(row.dataset.images).toLocaleString("en-US")} images) would cost ${total}: ${each} an image.`;
        told = true;
      }
    }
    const model = form.elements.variant.selectedOptions[0].textContent;
    note.textContent = `By ${model}, ${plan.margin ? `with ${plan.name}’s margin of ${plan.margin} %` : "at cost"}.${plan.benchmarksOnly ? " With this plan they are included while its images last." : ""}`;
  }

  range.addEventListener("input", () => {
    typed.value = Number((10 ** Number(range.value)).toPrecision(2)).toLocaleString("en-US");
    show();
    write();
  });
  form.addEventListener("change", () => {
    typed.value = images().toLocaleString("en-US");
    range.value = Math.log10(images());
    show();
    write();
  });
  typed.addEventListener("input", () => {
    range.value = Math.log10(images());
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", () => {
    read();
    show();
  });
  read();
  show();
}

for (const root of document.querySelectorAll("[data-calculator]")) bind(root);
