"""Server reflection under both of its names, `grpc.reflection.v1` and `v1alpha`.

grpcio-reflection serves `v1alpha` alone. `v1` has the same messages, field by field
(https://github.com/grpc/grpc/blob/master/doc/server-reflection.md), so one servicer answers both. The descriptors of
`v1` are those of `v1alpha` with another package; clients that describe every service ask for them.
"""

from collections.abc import Iterable
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1_SERVICE: Final = "grpc.reflection.v1.ServerReflection"
_V1_FILE: Final = "grpc/reflection/v1/reflection.proto"
_PACKAGES: Final = (".grpc.reflection.v1alpha.", ".grpc.reflection.v1.")


def enable_reflection(services: Iterable[str], server: grpc.aio.Server) -> None:
    """Serve reflection of these services, and of itself, under both names."""
    pool = _Pool(descriptor_pool.Default())
    names = (*services, reflection.SERVICE_NAME, V1_SERVICE)
    reflection.enable_server_reflection(names, server, pool=pool)
    handler = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(names, pool=pool).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(V1_SERVICE, {"ServerReflectionInfo": handler}),)
    )


class _Pool:
    """The descriptors of this process, which finds methods and qualified enum values as other languages' pools do."""

    def __init__(self, pool: descriptor_pool.DescriptorPool) -> None:
        self._pool = pool
        _add_v1(pool)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever else a pool offers
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # protobuf's name
        """Find the file that declares a symbol.

        Raises:
            KeyError: there is none.
        """
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            parent, _, name = symbol.rpartition(".")
            file = self._pool.FindFileContainingSymbol(parent)
            if self._has_member(parent, name):
                return file
            raise

    def _has_member(self, parent: str, name: str) -> bool:
        for find, members in (
            (self._pool.FindServiceByName, "methods_by_name"),
            (self._pool.FindEnumTypeByName, "values_by_name"),
        ):
            try:
                return name in getattr(find(parent), members)
            except KeyError:
                continue
        return False


def _add_v1(pool: descriptor_pool.DescriptorPool) -> None:
    """Add the newer name's descriptors, unless somebody has."""
    try:
        pool.FindFileByName(_V1_FILE)
    except KeyError:
        file = FileDescriptorProto()
        reflection_pb2.DESCRIPTOR.CopyToProto(file)
        file.name, file.package = _V1_FILE, V1_SERVICE.rpartition(".")[0]
        file.ClearField("options")  # where the older package's generated code goes
        for message in file.message_type:
            for field in (field for field in message.field if field.type_name):
                field.type_name = field.type_name.replace(*_PACKAGES)
        for method in file.service[0].method:
            method.input_type = method.input_type.replace(*_PACKAGES)
            method.output_type = method.output_type.replace(*_PACKAGES)
        pool.AddSerializedFile(file.SerializeToString())
