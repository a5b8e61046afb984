// Usage: node ask.mjs <endpoint> <image file> <calls as JSON>; prints each call's outcome as JSON.
import { readFile } from 'node:fs/promises'
import { vl } from 'moondream'

const [endpoint, file, calls] = process.argv.slice(2)
const client = new vl({ endpoint })
const image = await readFile(file)
const outcomes = []
for (const [skill, options] of JSON.parse(calls)) {
  try {
    const output = await client[skill]({ image, ...options })
    for (const [key, value] of Object.entries(output)) {
      if (value?.[Symbol.asyncIterator] === undefined) continue
      output[key] = []
      for await (const piece of value) output[key].push(piece)
    }
    outcomes.push(output)
  } catch (error) {
    outcomes.push({ raised: String(error.message) })
  }
}
console.log(JSON.stringify(outcomes))
