// A leaderboard's page: news when somebody else leads, charts, the standings of a challenge, and the
// progress of a submission.

import { markTab, tabAfter } from "./tabs.js";

const board = document.querySelector("[data-board]");
if (board) follow(board);

// Many changes at once are one look at what they come to; nobody's field is taken from under the hands.
function gathered(place, look) {
  let waiting;
  return function again() {
    clearTimeout(waiting);
    const field = document.activeElement;
    if (place.contains(field) && field.matches("input, select")) field.addEventListener("blur", again, { once: true });
    else waiting = setTimeout(look, 300);
  };
}

function follow(page) {
  const source = new EventSource(`/api/leaderboards/${page.dataset.board}/events`);
  const look = gathered(page, () => window.htmx?.ajax("GET", location.pathname + location.search, { target: "#board-table", swap: "innerHTML" }));
  source.addEventListener("table", look);
  source.addEventListener("top", (event) => {
    const { model } = JSON.parse(event.data);
    look();
    const news = document.querySelector("[data-news]");
    news.querySelector("[data-news-text]").textContent = `${model} leads now; the table is up to date.`;
    news.hidden = false;
  });
  addEventListener("pagehide", () => source.close());
}

const standings = document.querySelector("[data-challenge]");
if (standings) keep(standings);

// A challenge's standings, on its own page and where another page shows the first of them.
function keep(place) {
  const source = new EventSource(`/api/challenges/${place.dataset.challenge}/events`);
  source.addEventListener("standings", gathered(place, () => {
    const { address } = place.dataset;
    const shown = location.pathname === address ? address + location.search : address;
    window.htmx?.ajax("GET", shown, { target: "#standings", swap: "innerHTML" });
  }));
  addEventListener("pagehide", () => source.close());
}

const submission = document.querySelector("[data-submission]");
if (submission) watch(submission);

function watch(page) {
  const source = new EventSource(`/api/leaderboards/submissions/${page.dataset.submission}/events`);
  source.addEventListener("status", (event) => {
    if (JSON.parse(event.data).status === "running") {
      document.querySelector("[data-state]").textContent = "Scoring";
      document.querySelector("[data-waiting]")?.replaceChildren("being scored now");
    }
  });
  source.addEventListener("progress", (event) => {
    document.querySelector("[data-progress]").value = JSON.parse(event.data).share;
  });
  for (const end of ["result", "error"]) {
    source.addEventListener(end, (event) => {
      if (!event.data || JSON.parse(event.data).code === "stream_interrupted") return; // the connection, not the scorer
      source.close();
      location.reload();
    });
  }
}

const section = document.querySelector("[data-charts]");
if (section && JSON.parse(section.dataset.points).length) {
  section.hidden = false;
  new IntersectionObserver((seen, observer) => {
    if (!seen.some((one) => one.isIntersecting)) return;
    observer.disconnect();
    charts(section);
  }, { rootMargin: "200px" }).observe(section);
}

async function charts(place) {
  const echarts = await import(place.dataset.library);
  const points = JSON.parse(place.dataset.points);
  const metric = JSON.parse(place.dataset.metric);
  const style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(name).trim();
  const ink = colour("--ink-2"), line = colour("--line"), ours = colour("--accent-purple"), other = colour("--accent-slate");
  const chart = echarts.init(place.querySelector(".chart"), null, { renderer: "svg" });
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const unit = metric.unit ? ` ${metric.unit}` : "";
  const interval = (p, empty) => (p.low === undefined ? empty : `${p.low.toFixed(2)} to ${p.high.toFixed(2)}`);
  const label = (p) => [p.name, p.precision].filter(Boolean).join(", ");
  const text = { color: ink, fontFamily: "Inter Variable, Arial, sans-serif", fontSize: 13 };
  const axis = (name, more = {}) => ({ name, nameLocation: "middle", nameGap: 34, nameTextStyle: text, axisLabel: text, axisLine: { lineStyle: { color: line } }, splitLine: { lineStyle: { color: line } }, ...more });
  const names = { parameters: "Parameters", latency_ms: "Latency, ms (measured here, or reported)", cost: "Cost of an image, cents (where it was run here)", on: "Submitted" };

  const base = () => ({ animation: !still, textStyle: text, grid: { left: 64, right: 24, top: 24, bottom: 56, containLabel: false }, tooltip: { renderMode: "richText", textStyle: { color: "#0a0c12" }, formatter: (item) => `${label(item.data.point)}\n${metric.name} ${item.data.point.value.toFixed(2)}${unit} (${interval(item.data.point, "reported")})` } });

  function bars() {
    const shown = points.slice(0, 20).reverse();
    return { ...base(), grid: { left: Math.min(220, place.clientWidth * 0.4), right: 32, top: 12, bottom: 48 }, xAxis: axis(metric.name + unit, { type: "value" }), yAxis: axis("", { type: "category", data: shown.map(label), axisLabel: { ...text, width: Math.min(200, place.clientWidth * 0.36), overflow: "truncate" } }), series: [
      { type: "bar", barMaxWidth: 22, data: shown.map((point) => ({ value: point.value, point, itemStyle: { color: point.ours ? ours : other, borderRadius: 3 } })) },
      { type: "scatter", silent: true, symbol: "rect", symbolSize: [2, 12], itemStyle: { color: colour("--ink") }, data: shown.flatMap((p, row) => (p.low === undefined ? [] : [[p.low, row], [p.high, row]])) },
    ] };
  }

  // What no other entry beats in both: the front.
  function front(list, key) {
    const better = (a, b) => (metric.up ? a > b : a < b);
    const kept = [];
    for (const p of [...list].sort((a, b) => a[key] - b[key] || (metric.up ? b.value - a.value : a.value - b.value))) {
      if (!kept.length || better(p.value, kept.at(-1).value)) kept.push(p);
    }
    return kept;
  }

  function scatter(key) {
    const shown = points.filter((p) => p[key] !== null && p[key] !== undefined);
    const best = key === "on" ? [] : front(shown, key);
    const scale = key === "on" ? { type: "time" } : { type: "log", logBase: 10 };
    return { ...base(), xAxis: axis(names[key], scale), yAxis: axis(metric.name + unit, { type: "value", scale: true, nameGap: 44 }), series: [
      { type: "scatter", symbolSize: 12, data: shown.map((point) => ({ value: [point[key], point.value], point, itemStyle: { color: point.ours ? ours : other } })) },
      ...(best.length > 1 ? [{ type: "line", silent: true, symbol: "none", step: "end", lineStyle: { color: ours, type: "dashed", width: 1.5 }, data: best.map((p) => [p[key], p.value]) }] : []),
    ] };
  }

  function fill(kind) {
    const table = place.querySelector("[data-chart-table]");
    const columns = [["Model", label], [`${metric.name}${unit}`, (p) => p.value.toFixed(2)], ["Interval", (p) => interval(p, "reported")], ["Parameters", (p) => p.parameters ?? "—"], ["Latency, ms", (p) => p.latency_ms ?? "—"], ["Cost, cents", (p) => p.cost?.toPrecision(2) ?? "—"], ["Submitted", (p) => p.on]];
    const head = table.createTHead();
    const body = table.tBodies[0] ?? table.createTBody();
    head.replaceChildren();
    body.replaceChildren();
    const row = head.insertRow();
    for (const [name] of columns) row.append(Object.assign(document.createElement("th"), { textContent: name, scope: "col" }));
    for (const point of points) {
      const line = body.insertRow();
      for (const [, value] of columns) line.insertCell().textContent = value(point);
    }
    const known = points.filter((p) => kind === "bar" || (p[kind] !== null && p[kind] !== undefined)).length;
    place.querySelector("[data-chart-note]").textContent = kind === "bar" ? `The first ${Math.min(20, points.length)} of ${points.length}; ticks are 95 % intervals.` : `${known} of ${points.length} entries say so.${kind === "on" ? "" : " Dashed: the Pareto front, what no other entry beats in both."}`;
  }

  const tabs = [...place.querySelectorAll("[role=tab]")];
  function choose(tab) {
    markTab(tabs, tab);
    place.querySelector("#chart").setAttribute("aria-labelledby", tab.id);
    const kind = tab.dataset.chart;
    chart.setOption(kind === "bar" ? bars() : scatter(kind), { notMerge: true });
    fill(kind);
  }
  for (const tab of tabs) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const next = tabAfter(event, tabs);
      if (!next) return;
      next.focus();
      choose(next);
    });
  }
  choose(tabs[0]);
  new ResizeObserver(() => chart.resize()).observe(place.querySelector(".chart"));

  const name = `${document.querySelector("[data-board]").dataset.board}-${metric.name}`;
  const save = (url, kind) => Object.assign(document.createElement("a"), { href: url, download: `${name}.${kind}` }).click();
  for (const button of place.querySelectorAll("[data-save]")) {
    button.addEventListener("click", async () => {
      const url = URL.createObjectURL(new Blob([chart.renderToSVGString()], { type: "image/svg+xml" }));
      if (button.dataset.save === "svg") return save(url, "svg");
      const picture = new Image();
      picture.src = url;
      await picture.decode();
      const canvas = Object.assign(document.createElement("canvas"), { width: chart.getWidth() * 2, height: chart.getHeight() * 2 });
      const paint = canvas.getContext("2d");
      paint.fillStyle = colour("--surface-0");
      paint.fillRect(0, 0, canvas.width, canvas.height);
      paint.drawImage(picture, 0, 0, canvas.width, canvas.height);
      save(canvas.toDataURL("image/png"), "png");
    });
  }
}
