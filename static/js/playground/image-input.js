// Images by file, drop, paste or sample; one chosen at a time.
import { previewOf } from "./job-client.js";

const MAX_BYTES = 20 * 1024 * 1024;

export function imageProblem(file) {
  if (file.size === 0) return { message: "The image file is empty.", hint: "Choose another file." };
  if (file.size > MAX_BYTES) return { message: "The image is larger than 20 MB.", hint: "Send a smaller one." };
  if (file.type === "image/svg+xml" || /\.svg$/i.test(file.name ?? "")) return { message: "SVG is a drawing, not a photograph.", hint: "Export it as PNG or JPEG." };
  if (file.type && !file.type.startsWith("image/")) return { message: "This file is not an image we can read.", hint: "Use JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC." };
  return null;
}

export class ImageInput {
  // `maySend` says whether a file may go to the server before it is asked about.
  constructor(root, { onChange, onProblem, maySend }) {
    this.root = root;
    this.onChange = onChange;
    this.onProblem = onProblem;
    this.maySend = maySend;
    this.current = null; // {file, item?} | {sample, url}, plus url for the preview
    this.preview = root.querySelector("[data-preview]");
    this.frame = root.querySelector("[data-frame]");
    this.note = root.querySelector("[data-preview-note]");
    this.preview.addEventListener("error", () => this.unseen());
    this.file = root.querySelector("[data-file]");
    this.samples = [...root.querySelectorAll('[name="sample"]')];
    this.file.addEventListener("change", () => this.file.files[0] && this.take(this.file.files[0]));
    for (const radio of this.samples) radio.addEventListener("change", () => this.takeSample(radio.value));
    root.querySelector("[data-remove]").addEventListener("click", () => this.clear());
    this.bindDrop();
    this.bindPaste();
  }

  // Anywhere on the page: a file that misses the box would replace the page.
  bindDrop() {
    let depth = 0;
    let isOwn = false; // a picture of the page itself, dragged
    const takes = (event) => !isOwn && this.isShown && [...(event.dataTransfer?.types ?? [])].includes("Files");
    const settle = () => {
      depth = 0;
      this.root.removeAttribute("data-dragging");
    };
    const on = (name, action) => document.addEventListener(name, action);
    on("dragstart", () => { isOwn = true; });
    on("dragend", () => { isOwn = false; });
    on("dragenter", (event) => {
      if (!takes(event)) return;
      event.preventDefault();
      depth += 1;
      this.root.setAttribute("data-dragging", "");
    });
    on("dragover", (event) => takes(event) && event.preventDefault());
    on("dragleave", (event) => {
      if (!takes(event)) return;
      depth = Math.max(0, depth - 1);
      if (depth === 0) settle();
    });
    on("drop", (event) => {
      if (!takes(event)) return;
      event.preventDefault();
      settle();
      const [file] = event.dataTransfer.files;
      if (file) this.take(file);
    });
  }

  // In a closed dialog, what is pasted or dropped is meant for the page.
  get isShown() {
    return this.root.isConnected && this.root.closest("dialog")?.open !== false;
  }

  bindPaste() {
    document.addEventListener("paste", (event) => {
      if (!this.isShown) return;
      const file = [...(event.clipboardData?.files ?? [])].find((f) => f.type.startsWith("image/"));
      if (file) {
        event.preventDefault();
        this.take(file);
      }
    });
    const button = this.root.querySelector("[data-paste]");
    if (!navigator.clipboard?.read) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        for (const item of await navigator.clipboard.read()) {
          const type = item.types.find((t) => t.startsWith("image/"));
          if (type) return this.take(await item.getType(type));
        }
        this.onProblem({ message: "There is no image on the clipboard.", hint: "Copy one first." });
      } catch {
        this.onProblem({ message: "The browser did not let us read the clipboard.", hint: "Press Ctrl+V instead." });
      }
    });
  }

  take(file, more = {}) {
    const problem = imageProblem(file);
    if (problem) {
      this.file.value = "";
      this.onProblem(problem);
      return;
    }
    for (const radio of this.samples) radio.checked = false;
    this.show({ file, url: URL.createObjectURL(file), name: file.name || "pasted image", ...more });
  }

  takeSample(slug) {
    const image = this.sampleImage(slug);
    if (!image) return;
    for (const radio of this.samples) radio.checked = radio.value === slug;
    this.file.value = "";
    this.show(image);
  }

  // A drawn scene as an image to show; undefined where there is none of that name.
  sampleImage(slug) {
    const radio = this.samples.find((r) => r.value === slug);
    return radio && { sample: slug, url: radio.dataset.url, name: radio.nextElementSibling.alt, prompts: JSON.parse(radio.dataset.prompts) };
  }

  show(image, { quiet = false } = {}) {
    this.current = image;
    this.preview.src = image.url;
    this.preview.alt = `Your image: ${image.name}`;
    this.tell("");
    this.toggle(true);
    if (!quiet) this.onChange(image);
  }

  // HEIC, TIFF, or damaged: the browser cannot show it. The server tells which, with a picture.
  unseen() {
    const image = this.current;
    if (!image?.file || image.hasPreview) return;
    image.isUnseen = true;
    this.tell("This browser cannot show the file.");
    this.askPreview();
  }

  async askPreview() {
    const image = this.current;
    if (!image?.isUnseen || image.hasPreview || image.isAsked || !this.maySend()) return;
    image.isAsked = true;
    this.tell("This browser cannot show the file. The server is making a preview.");
    try {
      const { id, blob } = await previewOf(this.root.dataset.previewUrl, image.file, this.root.querySelector("[name=csrfmiddlewaretoken]").value);
      URL.revokeObjectURL(image.url);
      image.id = id;
      image.hasPreview = true;
      image.url = URL.createObjectURL(blob);
      if (this.current === image) this.show(image, { quiet: true });
    } catch (error) {
      if (this.current !== image) return;
      if (/image/.test(error.code) && Number.isNaN(error.wait)) this.clear(); // it is the file that is wrong
      else this.tell("This browser cannot show the file. It can be asked about all the same.");
      this.onProblem(error);
    } finally {
      image.isAsked = false;
    }
  }

  tell(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
    this.frame.hidden = Boolean(text);
  }

  // What was there before, without what a new choice sets going.
  putBack(image) {
    if (image) this.show(image, { quiet: true });
    else this.clear();
    for (const radio of this.samples) radio.checked = radio.value === image?.sample;
  }

  clear() {
    this.current = null;
    this.file.value = "";
    for (const radio of this.samples) radio.checked = false;
    this.preview.removeAttribute("src");
    this.toggle(false);
    this.onChange(null);
    this.file.focus();
  }

  toggle(has) {
    this.root.querySelector("[data-stage]").hidden = !has;
    this.root.querySelector("[data-empty]").hidden = has;
    this.root.querySelector("[data-remove]").hidden = !has;
    this.root.querySelector("[data-file-label]").textContent = has ? "Replace" : "Choose image";
  }
}
