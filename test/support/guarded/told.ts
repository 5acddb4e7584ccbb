/** What a node is told of alice (auth.ts), with a header that the project lets through. */
export const TOLD_OF_ALICE = {
  'x-tone': 'loud',
  langgraph_auth_user: {
    identity: 'alice',
    display_name: 'alice',
    permissions: [],
    is_authenticated: true,
    team: 'blue',
  },
  langgraph_auth_user_id: 'alice',
  langgraph_auth_permissions: [],
}
