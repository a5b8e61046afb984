// Where each token of an answer looked: a map over the image, and a slider over the tokens.
const COLOUR = [243, 194, 102];

function decoded(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function mount(box) {
  const { pieces, grid, maps, image_share: shares } = JSON.parse(document.getElementById(box.dataset.attention).textContent);
  const levels = decoded(maps);
  const slider = box.querySelector("[data-token]");
  const canvas = box.querySelector("canvas");
  const tokens = box.querySelector("[data-tokens]");
  canvas.width = canvas.height = grid;
  const context = canvas.getContext("2d");
  const marks = pieces.map((piece) => {
    const mark = document.createElement("span");
    mark.textContent = piece;
    return mark;
  });
  tokens.replaceChildren(...marks);
  slider.max = pieces.length - 1;

  const show = () => {
    const at = Number(slider.value);
    const picture = context.createImageData(grid, grid);
    for (let patch = 0; patch < grid * grid; patch += 1) picture.data.set([...COLOUR, levels[at * grid * grid + patch] * 0.8], 4 * patch);
    context.putImageData(picture, 0, 0);
    marks.forEach((mark, number) => mark.classList.toggle("is-shown", number === at));
    const share = Math.round(100 * shares[at]);
    box.querySelector("[data-share]").textContent = `${share}% of this token’s attention was on the image.`;
    slider.setAttribute("aria-valuetext", `${pieces[at].trim() || "blank"}, ${at + 1} of ${pieces.length}`);
  };
  tokens.addEventListener("click", (event) => {
    const at = marks.indexOf(event.target);
    if (at < 0) return;
    slider.value = at;
    show();
  });
  slider.addEventListener("input", show);
  show();
  box.hidden = false;
}

for (const box of document.querySelectorAll("[data-attention]")) mount(box);
