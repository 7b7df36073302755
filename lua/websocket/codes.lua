--- The close codes of RFC 6455 section 7.4.1, and the numbers of socket errors, by name.
local CloseCode = {
  Normal = 1000,
  GoingAway = 1001,
  ProtocolError = 1002,
  DatatypeNotSupported = 1003,
  Reserved1004 = 1004,
  MissingStatusCode = 1005,
  AbnormalDisconnection = 1006,
  WrongDatatype = 1007,
  PolicyViolated = 1008,
  TooMuchData = 1009,
  MissingExtension = 1010,
  BadOperation = 1011,
  TlsHandshakeFailed = 1015,
}

local SocketError = {
  UnknownSocketError = -1,
  ConnectionRefusedError = 0,
  RemoteHostClosedError = 1,
  HostNotFoundError = 2,
  SocketAccessError = 3,
  SocketResourceError = 4,
  SocketTimeoutError = 5,
  DatagramTooLargeError = 6,
  NetworkError = 7,
  AddressInUseError = 8,
  SocketAddressNotAvailableError = 9,
  UnsupportedSocketOperationError = 10,
  ProxyAuthenticationRequiredError = 11,
  SslHandshakeFailedError = 12,
  UnfinishedSocketOperationError = 13,
  ProxyConnectionRefusedError = 14,
  ProxyConnectionClosedError = 15,
  ProxyConnectionTimeoutError = 16,
  ProxyNotFoundError = 17,
  ProxyProtocolError = 18,
  OperationError = 19,
  SslInternalError = 20,
  SslInvalidUserDataError = 21,
  TemporaryError = 22,
}

local error_names = {}
for name, code in pairs(SocketError) do
  error_names[code] = name
end

return { CloseCode = CloseCode, SocketError = SocketError, error_names = error_names }
