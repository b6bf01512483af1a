"""The Python side of a session: runs cells one after the other in one namespace, the way IPython does.

Requests come as lines of JSON on descriptor 3, replies go out on descriptor 4; what the user's code prints goes to descriptors 1 and 2, which the guest reads.
Only the standard library of Python 3.8 or later is used, and as little of it as possible is imported ahead of its use: a session's memory is what it costs.
"""
import ast
import builtins
import json
import linecache
import os
import re
import signal
import sys
import types

# What the user's code does to the builtins must not reach the functions below: they get a copy of their own.
__builtins__ = dict(vars(builtins))
