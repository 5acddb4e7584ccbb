import { toolsNamed } from '../tools/registry.ts'

/** What `react` and `plan_and_solve` have where nothing else is said: all that Holdpoint brings but what changes a database. */
export const AGENT_TOOLS = toolsNamed(
  'run_javascript',
  'run_python',
  'list_files',
  'read_file',
  'search_files',
  'write_file',
  'edit_file',
  'delete_file',
  'http_fetch',
  'send_email',
  'sql_query',
  'calculator',
  'current_time',
  'ask_human',
  'remember',
  'recall',
)
