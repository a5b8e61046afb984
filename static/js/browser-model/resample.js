// Pillow's LANCZOS, bit for bit: the same fixed-point weights, rounded to bytes after each pass.
const BITS = 2 ** 22;

function lanczos(x) {
  const sinc = (v) => (v === 0 ? 1 : Math.sin(Math.PI * v) / (Math.PI * v));
  return Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
}

function weights(from, to) {
  const scale = from / to;
  const spread = Math.max(scale, 1);
  const support = 3 * spread;
  return Array.from({ length: to }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(from, Math.trunc(centre + support + 0.5));
    const raw = Array.from({ length: last - first }, (_, n) => lanczos((n + first - centre + 0.5) / spread));
    const sum = raw.reduce((a, b) => a + b, 0);
    const fixed = raw.map((w) => Math.trunc((w / sum) * BITS + (w / sum < 0 ? -0.5 : 0.5)));
    return { first, fixed };
  });
}

const byte = (sum) => Math.max(0, Math.min(255, Math.floor((sum + BITS / 2) / BITS)));

function across({ data, width, height }, to) {
  if (to === width) return { data, width, height };
  const out = new Uint8Array(to * height * 3);
  const columns = weights(width, to);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < to; x += 1) {
      const { first, fixed } = columns[x];
      for (let c = 0; c < 3; c += 1) {
        let sum = 0;
        for (let n = 0; n < fixed.length; n += 1) sum += data[(y * width + first + n) * 3 + c] * fixed[n];
        out[(y * to + x) * 3 + c] = byte(sum);
      }
    }
  }
  return { data: out, width: to, height };
}

function down({ data, width, height }, to) {
  if (to === height) return { data, width, height };
  const out = new Uint8Array(width * to * 3);
  const rows = weights(height, to);
  for (let y = 0; y < to; y += 1) {
    const { first, fixed } = rows[y];
    for (let at = 0; at < width * 3; at += 1) {
      let sum = 0;
      for (let n = 0; n < fixed.length; n += 1) sum += data[(first + n) * width * 3 + at] * fixed[n];
      out[y * width * 3 + at] = byte(sum);
    }
  }
  return { data: out, width, height: to };
}

// {data, width, height} with 3 bytes a pixel → the same at another size. Pillow goes down first
// where that throws away much more than going across (seen by trying it).
export function resize(image, width, height) {
  const downFirst = image.height > height && image.height - height > 2 * (image.width - width);
  return downFirst ? across(down(image, height), width) : down(across(image, width), height);
}
