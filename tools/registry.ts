import { askHuman } from './ask-human.ts'
import { calculator } from './calculator.ts'
import { currentTime } from './current-time.ts'
import type { Tool } from './define.ts'
import { deleteFile } from './delete-file.ts'
import { editFile } from './edit-file.ts'
import { httpFetch } from './http-fetch.ts'
import { listFiles } from './list-files.ts'
import { readFile } from './read-file.ts'
import { recall } from './recall.ts'
import { remember } from './remember.ts'
import { runJavascript } from './run-javascript.ts'
import { runPython } from './run-python.ts'
import { searchFiles } from './search-files.ts'
import { sendEmail } from './send-email.ts'
import { sqlExecute } from './sql-execute.ts'
import { sqlQuery } from './sql-query.ts'
import { writeFile } from './write-file.ts'

/** Every tool that Holdpoint brings. An agent has none of them until its graph names it. */
export const TOOLS = [
  runJavascript,
  runPython,
  listFiles,
  readFile,
  writeFile,
  editFile,
  searchFiles,
  deleteFile,
  httpFetch,
  sendEmail,
  sqlQuery,
  sqlExecute,
  calculator,
  currentTime,
  askHuman,
  remember,
  recall,
] as unknown as Tool[]

/** The tools of these names, in this order: an agent's allowlist. */
export function toolsNamed(...names: string[]): Tool[] {
  return names.map((name) => {
    const tool = TOOLS.find((one) => one.name === name)
    if (tool === undefined)
      throw new Error(`There is no tool "${name}". There are: ${TOOLS.map((one) => one.name).join(', ')}.`)
    return tool
  })
}
