// A film's frame is made when it is asked for: until then its server hears of nobody.

for (const figure of document.querySelectorAll("[data-film]")) {
  const button = figure.querySelector("[data-film-load]");
  button.hidden = figure.querySelector("[data-film-note]").hidden = false;
  button.addEventListener("click", () => {
    const frame = document.createElement("iframe");
    frame.src = figure.dataset.film;
    frame.title = figure.dataset.title;
    frame.allow = "fullscreen; picture-in-picture";
    frame.referrerPolicy = "strict-origin-when-cross-origin";
    frame.sandbox = "allow-scripts allow-same-origin allow-presentation allow-popups";
    figure.querySelector(".film__frame").replaceChildren(frame);
    frame.focus({ preventScroll: true });
  }, { once: true });
}
