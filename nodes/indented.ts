/**
 * A text of another agent as a part of a message that is read line by line: its first line as it is, the others
 * indented. A line of a file that was read then cannot pass for the next result, report or task.
 */
export function indented(text: string): string {
  return text.replaceAll(/\r\n?|[\v\f\u0085\u2028\u2029]/g, '\n').replaceAll(/\n(?=[^\n])/g, '\n  ')
}
