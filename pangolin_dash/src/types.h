/* Fixed-size integers, fixed-point numbers and pad bits. */
#ifndef TYPES_H
#define TYPES_H

typedef __UINT8_TYPE__ u8;
typedef __INT8_TYPE__ s8;
typedef __UINT16_TYPE__ u16;
typedef __INT16_TYPE__ s16;
typedef __UINT32_TYPE__ u32;
typedef __INT32_TYPE__ s32;

/* Positions and speeds are 16.16 pixels (per frame). Only ever shift them by 16: GCC 12 turns
   (short)(long >> 8) into a word read at an odd address on the 68000. */
typedef s32 fixed;
#define FIX(x) ((fixed)((x) * 65536.0))
#define INT(f) ((s16)((f) >> 16))
#define FROM_INT(i) ((fixed)(s16)(i) << 16)

enum { PAD_UP = 1, PAD_DOWN = 2, PAD_LEFT = 4, PAD_RIGHT = 8, PAD_B = 16, PAD_C = 32, PAD_A = 64,
       PAD_START = 128, PAD_JUMP = PAD_A | PAD_B | PAD_C };

static inline s16 abs16(s16 v) { return v < 0 ? -v : v; }
static inline fixed absf(fixed v) { return v < 0 ? -v : v; }

#endif
