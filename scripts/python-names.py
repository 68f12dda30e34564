"""List the public names of Python's multiprocessing, for docs/from-python.md and the test that checks it.

    python3 scripts/python-names.py > test/unit/python-names.json

The committed list is Python 3.11's. A module gives its `__all__` (or what its documentation describes), a class the
public attributes that are its own or inherited from another class of the package, not from `object`.
"""

import inspect
import json
import multiprocessing
import sys
import threading
from importlib import import_module

MODULES = [
    'multiprocessing',
    'multiprocessing.connection',
    'multiprocessing.context',
    'multiprocessing.managers',
    'multiprocessing.pool',
    'multiprocessing.process',
    'multiprocessing.queues',
    'multiprocessing.reduction',
    'multiprocessing.shared_memory',
    'multiprocessing.sharedctypes',
    'multiprocessing.synchronize',
    'multiprocessing.util',
    'multiprocessing.dummy',
]

# Documented, and not in __all__.
ALSO = {
    'multiprocessing': ['SUBDEBUG', 'SUBWARNING'],
    'multiprocessing.connection': ['Connection', 'answer_challenge', 'deliver_challenge'],
    'multiprocessing.context': [
        'BaseContext', 'DefaultContext', 'ForkContext', 'SpawnContext', 'ForkServerContext',
        'Process', 'ForkProcess', 'SpawnProcess', 'ForkServerProcess',
        'assert_spawning', 'get_spawning_popen', 'set_spawning_popen',
    ],
    'multiprocessing.managers': [
        'Namespace', 'Server', 'State', 'RemoteError', 'public_methods', 'all_methods', 'convert_to_error', 'dispatch',
        'MakeProxyType', 'AutoProxy', 'RebuildProxy', 'IteratorProxy', 'AcquirerProxy', 'ConditionProxy', 'EventProxy',
        'BarrierProxy', 'NamespaceProxy', 'ValueProxy', 'ListProxy', 'DictProxy', 'ArrayProxy', 'PoolProxy',
    ],
    'multiprocessing.pool': ['AsyncResult', 'MapResult', 'IMapIterator', 'IMapUnorderedIterator',
                             'MaybeEncodingError', 'ExceptionWithTraceback', 'RemoteTraceback'],
    'multiprocessing.synchronize': ['Barrier', 'SemLock'],
    'multiprocessing.sharedctypes': ['SynchronizedBase', 'Synchronized', 'SynchronizedArray', 'SynchronizedString'],
}

# Classes whose members are listed, by the name under which they are documented.
CLASSES = {
    'multiprocessing.Process': 'multiprocessing.process:BaseProcess',
    'multiprocessing.Queue': 'multiprocessing.queues:Queue',
    'multiprocessing.SimpleQueue': 'multiprocessing.queues:SimpleQueue',
    'multiprocessing.JoinableQueue': 'multiprocessing.queues:JoinableQueue',
    'multiprocessing.connection.Connection': 'multiprocessing.connection:Connection',
    'multiprocessing.connection.Listener': 'multiprocessing.connection:Listener',
    'multiprocessing.Lock': 'multiprocessing.synchronize:Lock',
    'multiprocessing.RLock': 'multiprocessing.synchronize:RLock',
    'multiprocessing.Semaphore': 'multiprocessing.synchronize:Semaphore',
    'multiprocessing.BoundedSemaphore': 'multiprocessing.synchronize:BoundedSemaphore',
    'multiprocessing.Condition': 'multiprocessing.synchronize:Condition',
    'multiprocessing.Event': 'multiprocessing.synchronize:Event',
    'multiprocessing.Barrier': 'multiprocessing.synchronize:Barrier',
    'multiprocessing.sharedctypes.Synchronized': 'multiprocessing.sharedctypes:Synchronized',
    'multiprocessing.sharedctypes.SynchronizedArray': 'multiprocessing.sharedctypes:SynchronizedArray',
    'multiprocessing.sharedctypes.SynchronizedString': 'multiprocessing.sharedctypes:SynchronizedString',
    'multiprocessing.shared_memory.SharedMemory': 'multiprocessing.shared_memory:SharedMemory',
    'multiprocessing.shared_memory.ShareableList': 'multiprocessing.shared_memory:ShareableList',
    'multiprocessing.managers.BaseManager': 'multiprocessing.managers:BaseManager',
    'multiprocessing.managers.SyncManager': 'multiprocessing.managers:SyncManager',
    'multiprocessing.managers.SharedMemoryManager': 'multiprocessing.managers:SharedMemoryManager',
    'multiprocessing.managers.BaseProxy': 'multiprocessing.managers:BaseProxy',
    'multiprocessing.pool.Pool': 'multiprocessing.pool:Pool',
    'multiprocessing.pool.ThreadPool': 'multiprocessing.pool:ThreadPool',
    'multiprocessing.pool.AsyncResult': 'multiprocessing.pool:AsyncResult',
    'multiprocessing.pool.IMapIterator': 'multiprocessing.pool:IMapIterator',
    'multiprocessing.context.BaseContext': 'multiprocessing.context:BaseContext',
}

# Made in __init__, so that the class does not show them.
ATTRIBUTES = {
    'multiprocessing.Lock': ['acquire', 'release'],
    'multiprocessing.RLock': ['acquire', 'release'],
    'multiprocessing.Semaphore': ['acquire', 'release'],
    'multiprocessing.BoundedSemaphore': ['acquire', 'release'],
    'multiprocessing.Condition': ['acquire', 'release'],
    'multiprocessing.sharedctypes.Synchronized': ['acquire', 'release'],
    'multiprocessing.sharedctypes.SynchronizedArray': ['acquire', 'release'],
    'multiprocessing.sharedctypes.SynchronizedString': ['acquire', 'release'],
    'multiprocessing.shared_memory.ShareableList': ['shm'],
    'multiprocessing.managers.BaseManager': ['shutdown'],
    'multiprocessing.managers.SyncManager': ['shutdown'],
    'multiprocessing.managers.SharedMemoryManager': ['shutdown'],
    'multiprocessing.managers.BaseProxy': ['_callmethod', '_getvalue'],  # documented, for whoever derives a proxy
    'multiprocessing.context.BaseContext': ['Process'],
}

# What the dunder methods of these classes are documented to do.
OPERATORS = ['__enter__', '__iter__', '__len__', '__getitem__', '__setitem__']


def public(module):
    names = getattr(module, '__all__', []) or []
    return sorted(set(names) | set(ALSO.get(module.__name__, [])))


def members(name, location):
    module, _, attribute = location.partition(':')
    cls = getattr(import_module(module), attribute)
    found = set(ATTRIBUTES.get(name, []))
    for base in inspect.getmro(cls):
        if base is object or not base.__module__.startswith(('multiprocessing', 'threading')):
            continue
        for key in vars(base):
            if not key.startswith('_') or key in OPERATORS:
                found.add(key)
    return sorted(found)


result = {'python': '%d.%d' % sys.version_info[:2], 'command': 'python3 scripts/python-names.py', 'names': {}}
for module in MODULES:
    result['names'][module] = public(import_module(module))
for name, location in CLASSES.items():
    result['names'][name] = members(name, location)
json.dump(result, sys.stdout, indent=2)
print()
