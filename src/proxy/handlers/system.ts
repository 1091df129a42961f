/** Who we are and how we are. */
import type { Handler } from '../rpc.ts';
import { componentAbnormal, componentHealthy } from '../wire/enums.ts';
import { success } from '../wire/status.ts';

/** The Milvus version whose protocol we speak: clients switch features on by it. */
export const MILVUS_VERSION = '3.0.0';

export const connect: Handler<'Connect'> = async (_request, { coordinator }) => ({
  status: success,
  server_info: { build_tags: MILVUS_VERSION, deploy_mode: 'STANDALONE', reserved: { server: 'tidemark' } },
  identifier: await coordinator.allocateIds(1),
});

export const getVersion: Handler<'GetVersion'> = () => ({ status: success, version: MILVUS_VERSION });

export const checkHealth: Handler<'CheckHealth'> = (_request, { coordinator }) => {
  const { isHealthy, reasons } = coordinator.health();
  return { status: success, isHealthy, reasons };
};

export const getComponentStates: Handler<'GetComponentStates'> = (_request, { coordinator }) => {
  const stateCode = coordinator.health().isHealthy ? componentHealthy : componentAbnormal;
  const state = { role: 'standalone', state_code: stateCode };
  return { status: success, state, subcomponent_states: [state] };
};

export const allocTimestamp: Handler<'AllocTimestamp'> = async (_request, { coordinator }) => ({
  status: success,
  timestamp: await coordinator.timestamp(),
});
