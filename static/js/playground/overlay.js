// Boxes and points over the image, as SVG; labels step aside for each other.
const NS = "http://www.w3.org/2000/svg";

function shape(name, attributes) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

export class Overlay {
  constructor(root) {
    this.svg = root.querySelector("[data-overlay]");
    this.labels = root.querySelector("[data-labels]");
    this.legend = root.querySelector("[data-legend]");
    this.list = root.querySelector("[data-legend-list]");
    this.preview = root.querySelector("[data-preview]");
    this.clear();
  }

  clear() {
    this.found = [];
    this.svg.replaceChildren();
    this.labels.replaceChildren();
    this.list.replaceChildren();
    this.legend.hidden = true;
    this.svg.setAttribute("aria-label", "Nothing found yet");
  }

  add(kind, region, name) {
    const number = this.found.length + 1;
    const group = shape("g", { class: "pg-found" });
    for (const style of ["pg-halo", "pg-mark"]) group.append(...this.marks(kind, region, style));
    this.svg.append(group);
    const label = document.createElement("span");
    label.className = "pg-label";
    label.textContent = number;
    this.labels.append(label);
    const at = kind === "point" ? [region.x, region.y - 0.03] : [region.x_min, region.y_min];
    this.place(label, at);
    this.found.push({ kind, region, label });
    this.addLegend(number, kind, region, name, group);
    const what = kind === "point" ? "point" : "box";
    this.svg.setAttribute("aria-label", `${number} ${what}${number > 1 ? (kind === "point" ? "s" : "es") : ""} found for ${name}`);
  }

  // Where a benchmark says the things are: dashed, beneath what was found.
  reference(regions) {
    const group = shape("g", { class: "pg-reference-boxes" });
    for (const region of regions) for (const style of ["pg-halo", "pg-mark"]) group.append(...this.marks("object", region, style));
    this.svg.prepend(group);
  }

  marks(kind, region, style) {
    if (kind === "object") {
      return [shape("rect", { class: style, x: region.x_min * 1000, y: region.y_min * 1000, width: Math.max(1, (region.x_max - region.x_min) * 1000), height: Math.max(1, (region.y_max - region.y_min) * 1000), rx: 4 })];
    }
    // An ellipse in the stretched grid is a circle on the screen.
    const ratio = this.preview.naturalWidth && this.preview.naturalHeight ? this.preview.naturalWidth / this.preview.naturalHeight : 1;
    const [x, y, r] = [region.x * 1000, region.y * 1000, 13];
    return [
      shape("ellipse", { class: style, cx: x, cy: y, rx: r, ry: r * ratio }),
      shape("path", { class: style, d: `M${x - 2} ${y}h4M${x} ${y - 2 * ratio}v${4 * ratio}` }),
    ];
  }

  place(label, [x, y]) {
    const height = 0.05;
    let top = Math.max(0, y);
    const clashes = () => this.found.some(({ spot }) => spot && Math.abs(spot[0] - x) < 0.05 && Math.abs(spot[1] - top) < height);
    while (clashes() && top < 0.95) top += height;
    label.style.setProperty("left", `${Math.min(96, Math.max(0, x * 100))}%`);
    label.style.setProperty("top", `${Math.min(95, top * 100)}%`);
    queueMicrotask(() => {
      const own = this.found.find((f) => f.label === label);
      if (own) own.spot = [x, top];
    });
  }

  addLegend(number, kind, region, name, group) {
    this.legend.hidden = false;
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const pct = (v) => `${(v * 100).toFixed(1)}%`;
    const where = kind === "point" ? `x ${pct(region.x)}, y ${pct(region.y)}` : `${pct(region.x_min)}, ${pct(region.y_min)} to ${pct(region.x_max)}, ${pct(region.y_max)}`;
    button.textContent = `${number} ${name} · ${where}`;
    const light = (on) => () => group.classList.toggle("is-on", on);
    for (const event of ["mouseenter", "focus"]) button.addEventListener(event, light(true));
    for (const event of ["mouseleave", "blur"]) button.addEventListener(event, light(false));
    item.append(button);
    this.list.append(item);
  }
}
