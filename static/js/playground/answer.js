// What a result says in words, and that it says nothing where that is so; undefined for boxes and points.
export const EMPTY = "The model gave an empty answer.";

export function answerText(result) {
  const text = result.answer ?? result.caption;
  return text === undefined || text.trim() ? text : EMPTY;
}
