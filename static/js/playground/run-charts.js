// A run's figures by step: one line a figure, drawn from what the page holds and from what comes later; the
// tables beneath follow. The console and the guided pages draw with it.

const COLOURS = ["--accent-green", "--accent-blue", "--accent-amber", "--accent-purple", "--accent-teal", "--accent-slate"];

export function inWords(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

export class RunCharts {
  // `data`: charts, points, steps and rows, as the server's page holds them.
  constructor(page, data, { onDraw = () => {} } = {}) {
    this.page = page;
    this.data = data;
    this.onDraw = onDraw;
    this.byStep = new Map(data.points.map((point) => [point.step, point]));
    this.charts = [];
    this.later = 0;
  }

  get at() {
    return Math.max(0, ...this.byStep.keys());
  }

  points() {
    return [...this.byStep.values()].sort((a, b) => a.step - b.step);
  }

  keep(step) {
    const row = { step: step.step };
    for (const chart of this.data.charts) for (const [key] of chart.series) if (typeof step[key] === "number") row[key] = step[key];
    this.byStep.set(step.step, row);
  }

  async start(library) {
    const style = getComputedStyle(document.body);
    this.colour = (name) => style.getPropertyValue(name).trim();
    for (const chart of this.data.charts) {
      const figure = this.page.querySelector(`[data-figure="${chart.slug}"]`);
      this.charts.push({ chart, figure, drawn: null });
      figure.querySelector("details").addEventListener("toggle", () => this.draw());
    }
    const echarts = await import(library);
    for (const entry of this.charts) {
      const place = entry.figure.querySelector("[data-chart]");
      place.hidden = false;
      entry.drawn = echarts.init(place, null, { renderer: "svg" });
      new ResizeObserver(() => entry.drawn.resize()).observe(place);
    }
    this.draw();
  }

  draw() {
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      for (const { chart, drawn, figure } of this.charts) {
        drawn?.setOption(this.option(chart));
        if (figure.querySelector("details").open) this.fillTable(chart, figure.querySelector("[data-rows]"));
      }
      this.onDraw();
    }, 200);
  }

  option(chart) {
    const { colour } = this;
    const text = { color: colour("--ink-2"), fontFamily: "Inter Variable, Arial, sans-serif", fontSize: 12 };
    const lines = { lineStyle: { color: colour("--line-strong") } };
    const rows = this.points();
    const hasLegend = chart.series.length > 1;
    return {
      animation: false, textStyle: text, color: COLOURS.map(colour),
      grid: { left: 52, right: 12, top: hasLegend ? 34 : 12, bottom: 28 },
      legend: hasLegend ? { top: 0, left: 0, icon: "roundRect", itemWidth: 12, itemHeight: 3, textStyle: text } : undefined,
      tooltip: { trigger: "axis", renderMode: "richText", textStyle: { color: "#0a0c12", fontSize: 12 }, valueFormatter: (value) => (value === undefined || value === null ? "—" : Number(value).toFixed(4)) },
      xAxis: { type: "value", min: 1, max: Math.max(2, this.data.steps), minInterval: 1, axisLabel: text, axisLine: lines, splitLine: { show: false } },
      yAxis: { type: "value", scale: true, axisLabel: text, splitNumber: 3, splitLine: { lineStyle: { color: colour("--line") } } },
      series: chart.series.map(([key, name]) => ({ name, type: "line", showSymbol: rows.length < 3, symbolSize: 5, lineStyle: { width: 1.75 }, data: rows.filter((row) => row[key] !== undefined).map((row) => [row.step, row[key]]) })),
    };
  }

  fillTable(chart, body) {
    const rows = this.points();
    const every = Math.max(1, Math.ceil(rows.length / this.data.rows));
    body.replaceChildren(...rows.filter((_, n) => n % every === 0 || n === rows.length - 1).map((row) => {
      const line = document.createElement("tr");
      const head = Object.assign(document.createElement("th"), { scope: "row", className: "num mono", textContent: row.step });
      line.append(head, ...chart.series.map(([key]) => Object.assign(document.createElement("td"), { className: "num mono", textContent: row[key] === undefined ? "—" : row[key].toFixed(4) })));
      return line;
    }));
  }
}
