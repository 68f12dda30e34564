/** Node's own sockets and servers in messages: the receiver gets one of its own for the same connection or port. */
import { createServer, Server, Socket } from 'node:net';
import { registerHandle } from './handles';
import { Unclonable } from './unclonable';

/** What Node keeps under a socket or server; `fd` is absent on Windows, -1 when closed. */
interface Owner {
  readonly _handle?: { readonly fd?: number } | null;
}

function fdOf(owner: Owner, what: string): number {
  const fd = owner._handle?.fd;
  if (fd === undefined || fd < 0) throw new Unclonable(owner, `a ${what} that is not open`);
  return fd;
}

registerHandle<Socket>({
  tag: 'net.Socket',
  Class: Socket,
  reduce(socket, sink) {
    if ('encrypted' in socket) throw new Unclonable(socket, 'a TLS socket, whose keys are in this process');
    if (socket.connecting) throw new Unclonable(socket, 'a socket that is not connected yet');
    if (socket.readableLength > 0 || socket.writableLength > 0) {
      throw new Unclonable(socket, 'a socket with data that this process has not read or sent yet');
    }
    return [sink.fd(fdOf(socket as unknown as Owner, 'socket')), socket.allowHalfOpen];
  },
  revive(data, source) {
    const [fd, allowHalfOpen] = data as [number, boolean];
    return new Socket({ fd: source.fd(fd), readable: true, writable: true, allowHalfOpen: allowHalfOpen === true });
  },
});

registerHandle<Server>({
  tag: 'net.Server',
  Class: Server,
  reduce(server, sink) {
    if ('setSecureContext' in server) throw new Unclonable(server, 'a TLS server, whose keys are in this process');
    return sink.fd(fdOf(server as unknown as Owner, 'server'));
  },
  revive: (data, source) => createServer().listen({ fd: source.fd(data as number) }),
});
