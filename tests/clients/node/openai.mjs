// Usage: node openai.mjs <base URL> <calls as JSON>; prints each call's outcome as JSON: an answer,
// a stream's chunks in a list, or what was raised.
import OpenAI from 'openai'

const [baseURL, calls] = process.argv.slice(2)
const client = new OpenAI({ baseURL, apiKey: 'any', maxRetries: 0 })
const outcomes = []
for (const [what, options] of JSON.parse(calls)) {
  try {
    const made = what === 'models' ? await client.models.list() : await client.chat.completions.create(options)
    if (!options?.stream) {
      outcomes.push(what === 'models' ? made.data : made)
      continue
    }
    const chunks = []
    for await (const chunk of made) chunks.push(chunk)
    outcomes.push(chunks)
  } catch (error) {
    outcomes.push({ raised: error.message, status: error.status, code: error.code, param: error.param })
  }
}
console.log(JSON.stringify(outcomes))
