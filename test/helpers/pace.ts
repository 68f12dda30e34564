/** How slow this machine is, from 1: see scripts/pace.cjs. The time after which something counts as hanging is multiplied by it. */
export const pace = Number(process.env['REALFORK_PACE'] ?? 1);
