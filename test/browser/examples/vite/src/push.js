import { io } from 'socket.io-client';

const socket = io(import.meta.env.VITE_PUSH_URL);

// Registers the page for an id that PHP has made, now and after each lost connection.
export function listen(userid, handlers) {
  for (const [event, handler] of Object.entries(handlers)) socket.on(event, handler);
  const register = () => socket.emit('register', { userid }, (answer) => {
    if (!answer.ok) console.error('doit-socket:', answer.error);
  });
  socket.on('connect', register);
  if (socket.connected) register();
}
