// Byte-level BPE from a tokenizer.json, as the server's: digits alone, then GPT-2's words.
const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

// Bytes that print stand for themselves, the others for letters from U+0100 on.
function byteLetters() {
  const prints = (b) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(prints(b) ? b : next++));
}

export class Tokenizer {
  constructor({ model, added_tokens: added }) {
    this.ids = new Map(Object.entries(model.vocab));
    this.tokens = [];
    for (const [token, id] of this.ids) this.tokens[id] = token;
    this.special = new Set(added.filter((t) => t.special).map((t) => t.id));
    this.ranks = new Map(model.merges.map((pair, rank) => [Array.isArray(pair) ? pair.join(" ") : pair, rank]));
    this.letters = byteLetters();
    this.bytes = new Map(this.letters.map((letter, b) => [letter, b]));
  }

  encode(text) {
    const ids = [];
    for (const part of text.split(/(\p{N})/u)) {
      for (const [word] of part.matchAll(WORDS)) {
        const letters = [...new TextEncoder().encode(word)].map((b) => this.letters[b]);
        for (const token of this.merge(letters)) ids.push(this.ids.get(token));
      }
    }
    return ids;
  }

  merge(parts) {
    for (;;) {
      let best = Infinity;
      let at = -1;
      for (let n = 0; n + 1 < parts.length; n += 1) {
        const rank = this.ranks.get(`${parts[n]} ${parts[n + 1]}`);
        if (rank !== undefined && rank < best) [best, at] = [rank, n];
      }
      if (at < 0) return parts;
      parts = [...parts.slice(0, at), parts[at] + parts[at + 1], ...parts.slice(at + 2)];
    }
  }

  decode(ids) {
    const letters = ids.filter((id) => !this.special.has(id)).map((id) => this.tokens[id] ?? "").join("");
    return new TextDecoder().decode(Uint8Array.from(letters, (letter) => this.bytes.get(letter)));
  }
}
