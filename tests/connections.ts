/** Channel options of test clients: connections of their own. A pooled one may still wait to retry an earlier server that had the same port. */
export const ownConnections = { 'grpc.use_local_subchannel_pool': 1 };
